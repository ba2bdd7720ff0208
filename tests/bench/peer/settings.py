"""What both halves of the peer share."""
import os

DATABASE_URL = os.environ["PEER_DATABASE_URL"]  # postgresql://…
REDIS_URL = os.environ["PEER_REDIS_URL"]
JWT_SECRET = os.environ["PEER_JWT_SECRET"]
