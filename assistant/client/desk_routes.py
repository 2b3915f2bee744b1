"""Calls for `send` and `pages` of both clients: conversations, documents, keys, webhooks, usage.

``client.send(desk_routes.make_key("front desk"))`` asks once; ``client.pages(desk_routes.webhooks())`` yields
the rows of all pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.client.calls import Call, given
from assistant.client.routes import get_call, path_part, post_call
from assistant.service.schemas import ChunkText, Model, ModelList
from assistant.service.schemas_answers import (
    AnswerList,
    ConversationList,
    FeedbackList,
    HandoverList,
    TopicsReply,
)
from assistant.service.schemas_documents import (
    CollectionShown,
    DocumentShown,
    EmbeddingsReply,
    UsageReply,
    VersionList,
)
from assistant.service.schemas_keys import AuditList, ChainState, KeyIssued, KeyList, KeyShown
from assistant.service.schemas_uploads import UploadList
from assistant.service.schemas_webhooks import DeliveryList, WebhookIssued, WebhookList, WebhookTested
from assistant.store.feedback import Conversation, Handover
from assistant.store.webhooks import Endpoint


def models() -> Call[ModelList]:
    """List what can be asked, as OpenAI lists models."""
    return get_call("/v1/models", ModelList)


def model(model_id: str) -> Call[Model]:
    """Show what can be asked under a name."""
    return get_call(f"/v1/models/{path_part(model_id)}", Model)


def embed(texts: Sequence[str], *, are_queries: bool = False) -> Call[EmbeddingsReply]:
    """Embed texts with the embedder of the collections."""
    kind = "query" if are_queries else "document"
    return post_call("/v1/embeddings", EmbeddingsReply, input=list(texts), input_type=kind)


def chunk(chunk_id: str) -> Call[ChunkText]:
    """Read a chunk in full."""
    return get_call(f"/v1/chunks/{path_part(chunk_id)}", ChunkText)


def answers() -> Call[AnswerList]:
    """List one's answers."""
    return get_call("/v1/answers", AnswerList)


def conversations() -> Call[ConversationList]:
    """List one's conversations."""
    return get_call("/v1/conversations", ConversationList)


def begin_conversation(collection: str | None = None, title: str = "") -> Call[Conversation]:
    """Begin a conversation."""
    return post_call("/v1/conversations", Conversation, collection=collection, title=title)


def conversation(conversation_id: str) -> Call[Conversation]:
    """Show a conversation."""
    return get_call(f"/v1/conversations/{path_part(conversation_id)}", Conversation)


def turns(conversation_id: str) -> Call[AnswerList]:
    """List a conversation's answers."""
    return get_call(f"/v1/conversations/{path_part(conversation_id)}/turns", AnswerList)


def delete_conversation(conversation_id: str) -> Call[None]:
    """Delete a conversation with its answers."""
    return _delete(f"/v1/conversations/{path_part(conversation_id)}")


def feedback() -> Call[FeedbackList]:
    """List what people said of answers."""
    return get_call("/v1/feedback", FeedbackList)


def handovers(state: str | None = None) -> Call[HandoverList]:
    """List hand-overs."""
    return get_call("/v1/handovers", HandoverList, state=state)


def handover(handover_id: str) -> Call[Handover]:
    """Show a hand-over."""
    return get_call(f"/v1/handovers/{path_part(handover_id)}", Handover)


def change_handover(handover_id: str, etag: str | None = None, **fields: Any) -> Call[Handover]:
    """Take, note or close a hand-over; with an ETag only as it was seen."""
    headers = {"If-Match": etag} if etag else {}
    path = f"/v1/handovers/{path_part(handover_id)}"
    return Call(method="PATCH", path=path, body=given(fields), headers=headers, answer=Handover)


def make_collection(name: str) -> Call[CollectionShown]:
    """Make an empty collection."""
    return post_call("/v1/collections", CollectionShown, name=name)


def collection(name: str) -> Call[CollectionShown]:
    """Show a collection."""
    return get_call(f"/v1/collections/{path_part(name)}", CollectionShown)


def document(document_id: str) -> Call[DocumentShown]:
    """Show a document."""
    return get_call(f"/v1/documents/{path_part(document_id)}", DocumentShown)


def versions(document_id: str) -> Call[VersionList]:
    """List a document's versions."""
    return get_call(f"/v1/documents/{path_part(document_id)}/versions", VersionList)


def delete_document(document_id: str, etag: str | None = None) -> Call[None]:
    """Delete a document with all its versions; with an ETag only as it was seen."""
    return _delete(f"/v1/documents/{path_part(document_id)}", etag)


def uploads() -> Call[UploadList]:
    """List one's unfinished uploads."""
    return get_call("/v1/uploads", UploadList)


def give_up_upload(upload_id: str) -> Call[None]:
    """Give an upload up."""
    return _delete(f"/v1/uploads/{path_part(upload_id)}")


def usage(group_by: str | None = None, collection: str | None = None, **days: str) -> Call[UsageReply]:
    """Count answers, abstentions and what people made of them; `first` and `last` day as 2026-11-23."""
    query = {"from": days.get("first"), "to": days.get("last"), "group_by": group_by}
    return get_call("/v1/usage", UsageReply, collection=collection, **query)


def topics(collection: str | None = None) -> Call[TopicsReply]:
    """Group what was not answered."""
    return get_call("/v1/usage/topics", TopicsReply, collection=collection)


def keys() -> Call[KeyList]:
    """List keys."""
    return get_call("/v1/keys", KeyList)


def make_key(name: str, role: str = "agent", **fields: Any) -> Call[KeyIssued]:
    """Make a key; further fields are those of the API."""
    return post_call("/v1/keys", KeyIssued, name=name, role=role, **fields)


def key(key_id: str) -> Call[KeyShown]:
    """Show a key."""
    return get_call(f"/v1/keys/{path_part(key_id)}", KeyShown)


def rotate_key(key_id: str, grace_seconds: int = 0) -> Call[KeyIssued]:
    """Give a key another secret."""
    path = f"/v1/keys/{path_part(key_id)}/rotate"
    return Call(method="POST", path=path, body={"grace_seconds": grace_seconds}, answer=KeyIssued)


def revoke_key(key_id: str) -> Call[KeyShown]:
    """Take a key back for good."""
    return Call(method="DELETE", path=f"/v1/keys/{path_part(key_id)}", answer=KeyShown)


def audit() -> Call[AuditList]:
    """List the audit log, newest first."""
    return get_call("/v1/audit", AuditList)


def verify_audit() -> Call[ChainState]:
    """Compute the audit log's chain of hashes anew."""
    return get_call("/v1/audit/verify", ChainState)


def webhooks() -> Call[WebhookList]:
    """List webhooks."""
    return get_call("/v1/webhooks", WebhookList)


def add_webhook(
    url: str, events: Sequence[str], collections: Sequence[str] | None = None
) -> Call[WebhookIssued]:
    """Let an address be told of events; the secret of the answer is shown once."""
    named = list(collections) if collections else None
    return post_call("/v1/webhooks", WebhookIssued, url=url, events=list(events), collections=named)


def webhook(webhook_id: str) -> Call[Endpoint]:
    """Show a webhook."""
    return get_call(f"/v1/webhooks/{path_part(webhook_id)}", Endpoint)


def deliveries(webhook_id: str) -> Call[DeliveryList]:
    """List what an address was told."""
    return get_call(f"/v1/webhooks/{path_part(webhook_id)}/deliveries", DeliveryList)


def try_webhook(webhook_id: str) -> Call[WebhookTested]:
    """Send an event of type webhook.test now."""
    return post_call(f"/v1/webhooks/{path_part(webhook_id)}/test", WebhookTested)


def enable_webhook(webhook_id: str) -> Call[Endpoint]:
    """Tell an address again that failed too often."""
    return post_call(f"/v1/webhooks/{path_part(webhook_id)}/enable", Endpoint)


def remove_webhook(webhook_id: str) -> Call[None]:
    """Tell an address nothing more."""
    return _delete(f"/v1/webhooks/{path_part(webhook_id)}")


def _delete(path: str, etag: str | None = None) -> Call[None]:
    headers: Mapping[str, str] = {"If-Match": etag} if etag else {}
    return Call(method="DELETE", path=path, headers=dict(headers), answer=None)
