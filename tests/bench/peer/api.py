"""The REST half of the peer: FastAPI, SQLAlchemy on asyncpg, tasks sent by Celery to Redis."""
import uuid

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

import models
import settings
import tasks

engine = create_async_engine(settings.DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://"),
                             pool_size=16, max_overflow=16)
Session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
app = FastAPI()


class RunRequest(BaseModel):
    message: str


async def current_user(authorization: str = Header("")):
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "Not authenticated")
    try:
        return jwt.decode(token, settings.JWT_SECRET, algorithms=["HS256"])
    except jwt.PyJWTError as error:
        raise HTTPException(401, "Invalid token") from error


@app.get("/health")
async def health():
    return JSONResponse({"status": "healthy"})


@app.get("/me")
async def me(user: dict = Depends(current_user)):
    return JSONResponse({"user": user, "message": "User information"})


@app.post("/run")
async def run(request: RunRequest, user: dict = Depends(current_user)):
    job_id = str(uuid.uuid4())
    async with Session() as session:
        session.add(models.JobRecord(id=job_id, user_id=user["id"], message=request.message,
                                     status="pending", env_vars=[]))
        await session.commit()
    tasks.run.apply_async((job_id, request.message), task_id=job_id)
    return JSONResponse({"job_id": job_id, "status": "queued",
                         "message": "Task has been queued for processing"})


def stamp(value):
    return value.isoformat() if value else None


@app.get("/result/{job_id}")
async def result(job_id: str, user: dict = Depends(current_user)):
    async with Session() as session:
        job = (await session.execute(
            select(models.JobRecord).where(models.JobRecord.id == job_id,
                                           models.JobRecord.user_id == user["id"]))).scalar()
    if job is None:
        raise HTTPException(404, "Job not found")
    return JSONResponse({
        "job_id": job.id, "user_id": job.user_id, "message": job.message, "status": job.status,
        "result": job.result, "error_message": job.error_message, "token_usage": job.token_usage,
        "created_at": stamp(job.created_at), "updated_at": stamp(job.updated_at),
        "completed_at": stamp(job.completed_at)})
