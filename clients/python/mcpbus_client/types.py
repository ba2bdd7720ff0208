"""Made by clients/generate.py from the gateway's OpenAPI document."""
from __future__ import annotations

from typing import Any, Dict, List, Literal, TypedDict, Union

JobStatus = Literal["pending", "running", "completed", "failed", "cancelled"]


class Error(TypedDict):
    #: What went wrong, for a person
    detail: str


class ValidationError(TypedDict):
    detail: List[ValidationErrorDetailItem]


class _ValidationErrorDetailItemAlways(TypedDict):
    type: str
    loc: List[Union[str, int]]
    msg: str


class ValidationErrorDetailItem(_ValidationErrorDetailItemAlways, total=False):
    #: What was sent, unless it is big
    input: Any
    ctx: Dict[str, Any]


class Root(TypedDict):
    message: str
    version: str
    endpoints: Dict[str, str]


class ServiceState(TypedDict):
    status: Literal["up", "down"]
    replicas: int


class _HealthAlways(TypedDict):
    status: Literal["healthy", "unhealthy"]
    timestamp: str
    version: str
    dependencies: HealthDependencies


class Health(_HealthAlways, total=False):
    detail: str


class HealthDependencies(TypedDict):
    broker: HealthDependenciesBroker
    auth: ServiceState
    jobs: ServiceState
    worker: ServiceState
    database: HealthDependenciesDatabase


class HealthDependenciesBroker(TypedDict):
    status: Literal["up", "down"]


class _HealthDependenciesDatabaseAlways(TypedDict):
    status: Literal["up", "down"]


class HealthDependenciesDatabase(_HealthDependenciesDatabaseAlways, total=False):
    queued: int
    running: int


class Scopes(TypedDict):
    available_scopes: Dict[str, ScopesAvailableScopesValue]
    description: str


class ScopesAvailableScopesValue(TypedDict):
    scope: str
    description: str


class ScopeChoice(TypedDict):
    scopes: List[Literal["drive", "gmail_readonly", "gmail_full", "gmail_labels", "gmail_compose", "calendar_events", "calendar_readonly", "documents", "spreadsheets", "spreadsheets_readonly"]]


class SignIn(TypedDict):
    auth_url: str
    #: Of this sign-in; a returning account keeps its old one, and the token tells
    user_id: str
    state: str
    message: str


class _UserAlways(TypedDict):
    id: str


class User(_UserAlways, total=False):
    email: Union[str, None]
    name: Union[str, None]
    picture: Union[str, None]


class Login(TypedDict):
    #: A JWT, good for 24 hours
    access_token: str
    token_type: Literal["bearer"]
    user: User
    expires_in: Literal[86400]


class AuthStatus(TypedDict):
    authenticated: bool
    requested_scopes: List[str]
    granted_scopes: List[str]
    email: Union[str, None]
    total_granted_scopes: int


class Me(TypedDict):
    user: MeUser
    message: str


class MeUser(TypedDict):
    id: str
    email: Union[str, None]
    name: Union[str, None]
    picture: Union[str, None]
    #: When the token expires, in seconds since 1970
    exp: int


class Message(TypedDict):
    message: str


class _RunRequestAlways(TypedDict):
    #: What to do; at most 256 KiB of UTF-8
    message: str


class RunRequest(_RunRequestAlways, total=False):
    #: Printable characters, chosen by the client. The completed jobs of the same user and conversation that were started before become this one's history
    conversation_id: Union[str, None]
    #: Another model of the same endpoint
    model: Union[str, None]
    #: Only these: names of servers, SERVER, or of tools, SERVER__TOOL; an empty list: none
    tools: Union[List[str], None]
    #: Answers of the model; never more than the deployment allows
    max_turns: Union[int, None]
    #: Tokens of the whole run; never more than the deployment allows
    max_tokens: Union[int, None]
    #: US dollars; never more than the deployment allows
    max_cost: Union[float, None]
    #: The user's
    time_zone: Union[str, None]
    #: An https address that is told, by a signed POST, when the job has ended or waits for approval (the webhook jobEvent); refused with 422 where webhooks are not configured, and when it isn't a public address
    callback_url: Union[str, None]


class RunAccepted(TypedDict):
    job_id: str
    status: Literal["queued"]
    message: Literal["Task has been queued for processing"]


class _TokenUsageAlways(TypedDict):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class TokenUsage(_TokenUsageAlways, total=False):
    #: Of the input tokens, those that the model's endpoint had cached
    cached_tokens: int
    #: US dollars, when the model has a price (the setting MODEL_PRICES)
    cost: float


class _JobAlways(TypedDict):
    job_id: str
    user_id: str
    message: str
    status: JobStatus
    #: At most 512 KiB, then cut with a marker
    result: Union[str, None]
    error_message: Union[str, None]
    token_usage: Union[TokenUsage, None]
    created_at: str
    updated_at: Union[str, None]
    completed_at: Union[str, None]


class Job(_JobAlways, total=False):
    #: Only in jobs of a conversation
    conversation_id: str
    #: Only while the job, still `running`, waits for POST /jobs/{job_id}/approve or deny: the calls in question
    waiting_approval: List[WaitingCall]


class JobList(TypedDict):
    #: Newest first; message and result are cut at 4 KiB here
    jobs: List[Job]
    #: Of all the user's jobs that fit
    total: int
    limit: int
    offset: int


class _ModelCallAlways(TypedDict):
    model: str
    #: Until the answer was there, with waiting and repeated tries
    duration_ms: int
    input_tokens: int
    output_tokens: int


class ModelCall(_ModelCallAlways, total=False):
    """What one answer of the model took; the first event of its turn has it"""
    #: US dollars, when the model has a price (the setting MODEL_PRICES)
    cost: float
    #: Tries that failed before
    retries: int
    #: Why the last of them failed
    retry_reason: str


class _StatusEventAlways(TypedDict):
    status: JobStatus
    #: When it was recorded
    timestamp: str


class StatusEvent(_StatusEventAlways, total=False):
    """event: status. The job's state has changed. With completed, failed or cancelled it is the job's last event"""
    attempt: int
    error_message: Union[str, None]


class _ToolCallEventAlways(TypedDict):
    #: The model's id of the call
    id: str
    #: SERVER__TOOL
    name: str
    #: When it was recorded
    timestamp: str


class ToolCallEvent(_ToolCallEventAlways, total=False):
    """event: tool_call. The model calls a tool; recorded before the call starts"""
    model_call: ModelCall
    server: str
    #: As the model gave them; cut text when they are long
    arguments: Any
    #: Number of the model's answer, over all attempts
    turn: int
    usage: TokenUsage
    #: What the model's endpoint wants to have back with the call
    extra_content: Dict[str, Any]
    #: It was too large; long members are cut or missing
    truncated: bool


class _ToolResultEventAlways(TypedDict):
    #: Of the tool_call
    id: str
    name: str
    is_error: bool
    #: Cut with a marker when it is long
    content: str
    #: When it was recorded
    timestamp: str


class ToolResultEvent(_ToolResultEventAlways, total=False):
    """event: tool_result. What the tool answered"""
    duration_ms: int
    #: It was too large; long members are cut or missing
    truncated: bool


class _MessageEventAlways(TypedDict):
    text: str
    #: When it was recorded
    timestamp: str


class MessageEvent(_MessageEventAlways, total=False):
    """event: message. Text of the model"""
    model_call: ModelCall
    #: Number of the model's answer, over all attempts
    turn: int
    usage: TokenUsage
    #: It was too large; long members are cut or missing
    truncated: bool


class _ProgressEventAlways(TypedDict):
    #: When it was recorded
    timestamp: str


class ProgressEvent(_ProgressEventAlways, total=False):
    """event: progress. A tool's progress, or a notice"""
    #: This attempt has ended with this; another one follows, if it was not the last that may
    attempt: int
    #: Number of the model's answer, over all attempts
    turn: int
    model_call: ModelCall
    message: str
    #: SERVER__TOOL
    name: str
    server: str
    level: str
    progress: float
    total: float
    #: It was too large; long members are cut or missing
    truncated: bool


class _WaitingCallAlways(TypedDict):
    #: The model's id of the call
    id: str
    #: SERVER__TOOL
    name: str


class WaitingCall(_WaitingCallAlways, total=False):
    """A tool call that waits for approval"""
    server: str
    #: As the model gave them; left out in lists when they are large
    arguments: Any
    #: What the model's endpoint wants to have back with the call
    extra_content: Dict[str, Any]


class _WaitingApprovalEventAlways(TypedDict):
    calls: List[WaitingCall]
    #: When it was recorded
    timestamp: str


class WaitingApprovalEvent(_WaitingApprovalEventAlways, total=False):
    """event: waiting_approval. These calls are not made before the user approves them"""
    model_call: ModelCall
    usage: TokenUsage
    #: Number of the model's answer, over all attempts
    turn: int


class _ApprovalEventAlways(TypedDict):
    decision: Literal["approve", "deny"]
    #: When it was recorded
    timestamp: str


class ApprovalEvent(_ApprovalEventAlways, total=False):
    """event: approval. The user's word on the calls of the waiting_approval before it"""
    #: Only these are approved, the others denied
    call_ids: List[str]
    #: What the model is told
    reason: str


class ApproveRequest(TypedDict, total=False):
    #: Approve these and deny the others; without: all. Say what you have seen: in the meantime the job may wait with other calls
    call_ids: Union[List[str], None]


class DenyRequest(TypedDict, total=False):
    #: What the model is told
    reason: Union[str, None]


class _WebhookEventAlways(TypedDict):
    type: Literal["job.completed", "job.failed", "job.cancelled", "job.waiting_approval"]
    #: When it happened
    timestamp: str
    data: Job


class WebhookEvent(_WebhookEventAlways, total=False):
    #: The message or the result was cut to 65,536 characters
    truncated: bool


class PartialEvent(TypedDict):
    """event: partial, without an id and only with `partial=true`. A piece of the model's text as it comes; the `message` of that turn has all of it"""
    #: Of the job
    attempt: int
    #: Of the model's answer, as in its `message`
    turn: int
    #: 0 begins the turn's text anew, at any time; each further one is one more than the one before. When one is missing, leave out what follows up to the next 0
    part: int
    #: To be put behind what the parts before had; at most 16 KiB
    text: str


class EventData(TypedDict):
    """What the `data:` of an event is, by its `event:`. More types may come: leave out what you don't know"""
    status: StatusEvent
    tool_call: ToolCallEvent
    tool_result: ToolResultEvent
    message: MessageEvent
    progress: ProgressEvent
    waiting_approval: WaitingApprovalEvent
    approval: ApprovalEvent
    partial: PartialEvent
