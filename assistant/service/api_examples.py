"""Bodies that the API's description shows, and its tests send: operation → name → body."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "createChatCompletion": {
        "English": {
            "model": "pumps",
            "messages": [{"role": "user", "content": "What does fault code E07 mean?"}],
            "stream": False,
        },
        "Chinese, streamed": {
            "model": "pumps",
            "messages": [{"role": "user", "content": "T6 显示 F03 是什么故障？"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "JSON": {
            "messages": [{"role": "user", "content": "Which torque do the flange bolts of the Q7 take?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "torque",
                    "schema": {
                        "type": "object",
                        "properties": {"newton_metres": {"type": "number"}, "sentence": {"type": "string"}},
                        "required": ["newton_metres", "sentence"],
                        "additionalProperties": False,
                    },
                },
            },
        },
    },
    "search": {
        "a code": {"query": "fault code E07", "top_k": 3},
        "of one customer": {"query": "门封条多久更换一次", "filters": {"customer": "acme"}},
    },
    "createAnswer": {
        "a question": {"question": "How long must the pump cool down after E07?"},
        "a follow-up, streamed": {
            "question": "那 T8 呢？",
            "history": [{"question": "T6 的门封条多久更换一次？", "answer": "每 12 个月更换一次 [1]。"}],
            "stream": True,
        },
    },
    "createConversation": {"a conversation": {"collection": "pumps", "title": "Q7, motor hot"}},
    "createFeedback": {
        "good": {"answer_id": "ans-7d1c60c2b1e04d5f9a3e", "rating": "up", "is_resolved": True},
        "corrected": {
            "answer_id": "ans-7d1c60c2b1e04d5f9a3e",
            "rating": "down",
            "correction": "The Q7 takes 48 Nm.",
        },
    },
    "createHandover": {
        "an answer": {"answer_id": "ans-7d1c60c2b1e04d5f9a3e", "note": "The customer asks for a call."}
    },
    "changeHandover": {"taken": {"state": "taken", "assignee": "安娜"}},
    "createCollection": {"a collection": {"name": "pumps"}},
    "addDocuments": {
        "two texts": {
            "collection": "pumps",
            "documents": [
                {"name": "e07.md", "text": "# E07\n\nFault code E07 means that the motor is too hot.\n"},
                {"name": "zh/f03.md", "text": "# F03\n\n故障代码 F03 表示显示板通信中断。\n"},
            ],
            "metadata": {"customer": "acme"},
        }
    },
    "createUpload": {
        "a large manual": {
            "name": "pumps/service-manual.pdf",
            "size_bytes": 104_857_600,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "collection": "pumps",
        }
    },
    "createCuratedAnswer": {
        "an answer": {
            "collection": "pumps",
            "questions": ["How do I return a pump?", "水泵怎么退货？"],
            "text": "Returns are registered in the dealer portal under Service › Returns.",
        }
    },
    "changeCuratedAnswer": {
        "another text": {
            "questions": ["How do I return a pump?"],
            "text": "Returns are registered by telephone.",
        }
    },
    "createTerm": {"a customer's word": {"said": "趴窝", "meant": "停机", "collection": "pumps"}},
    "changeTerm": {"approved": {"state": "approved"}},
    "mineTerms": {"one collection": {"collection": "pumps"}},
    "createSync": {"only look": {"folder": "manuals", "collection": "pumps", "is_dry_run": True}},
    "createDataset": {"one collection": {"collection": "pumps"}},
    "createRun": {"one collection": {"collection": "pumps"}},
    "createEval": {
        "a kept suite": {"collection": "pumps", "suite": "acceptance", "arms": ["rag", "rag+ft"], "limit": 50}
    },
    "createRelease": {"with an adapter": {"collection": "pumps", "adapter": "pumps-6f2a0e99de"}},
    "createEmbeddings": {"two texts": {"input": ["fault code E07", "故障代码 E12"], "model": "default"}},
    "createKey": {
        "an agent": {"name": "front desk", "role": "agent", "collections": ["pumps"]},
        "one customer's": {"name": "acme", "role": "integrator", "filters": {"customer": ["acme"]}},
    },
    "rotateKey": {"a day's grace": {"grace_seconds": 86_400}},
    "createWebhook": {
        "jobs and hand-overs": {
            "url": "https://desk.corp.example/hooks/deskmate",
            "events": ["job.ended", "handover.opened"],
        }
    },
}
