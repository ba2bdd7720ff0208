"""The Celery worker. In its favour: no result backend, acknowledged early, prefetched, no events."""
from celery import Celery
from sqlalchemy import create_engine, update
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql import func

import models
import settings

app = Celery("peer", broker=settings.REDIS_URL)
app.conf.update(task_ignore_result=True, task_acks_late=False, worker_prefetch_multiplier=64,
                worker_send_task_events=False, task_send_sent_event=False,
                broker_pool_limit=10, worker_hijack_root_logger=False,
                broker_connection_retry_on_startup=True)

engine = create_engine(settings.DATABASE_URL, poolclass=StaticPool)
Session = sessionmaker(engine, expire_on_commit=False)


@app.task(name="peer.run")
def run(job_id, message):
    """Two commits, for a running job is to be seen as running, as the original's is."""
    with Session() as session:
        session.execute(update(models.JobRecord).where(models.JobRecord.id == job_id)
                        .values(status="running", updated_at=func.clock_timestamp())
                        .execution_options(synchronize_session=False))
        session.commit()
        session.execute(update(models.JobRecord).where(models.JobRecord.id == job_id)
                        .values(status="completed", result="echo: " + message,
                                token_usage={"input_tokens": 0, "output_tokens": 0,
                                             "total_tokens": 0},
                                updated_at=func.clock_timestamp(),
                                completed_at=func.clock_timestamp())
                        .execution_options(synchronize_session=False))
        session.commit()
