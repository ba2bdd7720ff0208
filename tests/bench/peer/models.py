"""The original's table, as SQLAlchemy sees it."""
from sqlalchemy import JSON, Column, DateTime, String, Text
from sqlalchemy.orm import declarative_base
from sqlalchemy.sql import func

Base = declarative_base()


class JobRecord(Base):
    __tablename__ = "job_records"
    __mapper_args__ = {"eager_defaults": False}

    id = Column(String, primary_key=True)
    user_id = Column(String, nullable=False, index=True)
    message = Column(Text, nullable=False)
    status = Column(String, nullable=False, default="pending")
    result = Column(Text)
    error_message = Column(Text)
    token_usage = Column(JSON)
    env_vars = Column(JSON)
    created_at = Column(DateTime(timezone=True), server_default=func.clock_timestamp())
    updated_at = Column(DateTime(timezone=True))
    completed_at = Column(DateTime(timezone=True))
