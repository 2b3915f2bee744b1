BEGIN TRANSACTION;
CREATE TABLE adapters (
	name VARCHAR(64) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	folder TEXT NOT NULL, 
	base_fingerprint VARCHAR(64) NOT NULL, 
	dataset_hash VARCHAR(64) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "adapters" VALUES('a1','pumps','adapters/a1','b','d','2026-11-01T00:00:00Z',1);
CREATE TABLE answer_feedback (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	answer_id VARCHAR(40) NOT NULL, 
	key_id VARCHAR(64) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	rating VARCHAR(8), 
	is_resolved BOOLEAN, 
	comment TEXT NOT NULL, 
	correction TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "answer_feedback" VALUES(1,'fb-2aa2b8dcb0178d39d5b102f8','ans-1','key-ea64e72ebc9a','pumps','2026-11-23T02:47:01+00:00','up',1,'','');
CREATE TABLE answers (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	key_id VARCHAR(64) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	conversation_id VARCHAR(40), 
	question TEXT NOT NULL, 
	text TEXT NOT NULL, 
	arm VARCHAR(16) NOT NULL, 
	language VARCHAR(8) NOT NULL, 
	abstained BOOLEAN NOT NULL, 
	seconds DOUBLE NOT NULL, 
	prompt_tokens INTEGER NOT NULL, 
	completion_tokens INTEGER NOT NULL, 
	citations JSON NOT NULL, 
	passages JSON NOT NULL, 
	lineage JSON NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "answers" VALUES(1,'ans-1','2026-11-23T02:47:01+00:00','key-ea64e72ebc9a','pumps','conv-78e6429ac48f4f27ec89afa0','泵?','水 [1]','rag','zh',0,0.5,3,2,'[]','[]','{"engine": null, "base_model": null, "adapter": null, "snapshot": "000001", "release": null}');
CREATE TABLE api_keys (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	scopes JSON, 
	collections JSON, 
	filters JSON NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	former_digest VARCHAR(64), 
	former_until DOUBLE NOT NULL, 
	requests_per_minute INTEGER, 
	created VARCHAR(32) NOT NULL, 
	expires VARCHAR(32), 
	revoked VARCHAR(32), 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	UNIQUE (digest)
);
INSERT INTO "api_keys" VALUES(1,'key-ea64e72ebc9a','值班','agent',NULL,'["pumps"]','{"customer": ["\u7ea2"]}','2b5621db9045945f009d0e2a32908337e2588676df603fea37b1a28b78c4e784',NULL,0.0,NULL,'2026-11-23T02:47:01+00:00',NULL,NULL);
CREATE TABLE audit_log (
	number BIGINT NOT NULL, 
	time VARCHAR(32) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	target TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	request_id VARCHAR(64) NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "audit_log" VALUES(1,'2026-11-23T02:47:01.673+00:00','key-ea64e72ebc9a','agent','createAnswer','/v1/a',200,'r','0000000000000000000000000000000000000000000000000000000000000000','3c684f6038f979867c4374e14cca75948a4e0861aa6b16d1b69cb89a0bdaeceb');
INSERT INTO "audit_log" VALUES(2,'2026-11-23T02:47:01.675+00:00','key-ea64e72ebc9a','agent','createAnswer','/v1/b',200,'r','3c684f6038f979867c4374e14cca75948a4e0861aa6b16d1b69cb89a0bdaeceb','5c7a78720f2c09bc12c77452986513afe019cd89c44352838860cc9d4753f5fd');
CREATE TABLE chunks (
	id BIGINT NOT NULL, 
	version_id INTEGER NOT NULL, 
	content_id VARCHAR(64) NOT NULL, 
	embedding_key VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	heading_path JSON NOT NULL, 
	page INTEGER, 
	kind VARCHAR(16) NOT NULL, 
	language VARCHAR(8) NOT NULL, 
	confidence DOUBLE, 
	box JSON, 
	PRIMARY KEY (id), 
	FOREIGN KEY(version_id) REFERENCES document_versions (id) ON DELETE CASCADE
);
INSERT INTO "chunks" VALUES(1,1,'en/pump.md-1','85dfc2172a6394ada87a057a4d0969e9',1,'Clean the seal monthly.','["Seals"]',NULL,'text','en',0.5,'[0.0, 1.5, 2.0, 3.0]');
INSERT INTO "chunks" VALUES(2,2,'en/pump.md-2','5a3a51aa5245569e4599151d7a038bf2',2,'Clean the seal weekly.','["Seals"]',NULL,'text','en',NULL,NULL);
INSERT INTO "chunks" VALUES(3,3,'zh/泵.txt-1','bdb45a6abb7aea91105917971c3c283c',1,'每周清洗密封圈。','["Seals"]',NULL,'text','zh',NULL,NULL);
CREATE TABLE collections (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	generation BIGINT NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "collections" VALUES(1,'pumps',3,'2026-11-23T02:47:01+00:00');
INSERT INTO "collections" VALUES(2,'空',0,'2026-11-23T02:47:01+00:00');
CREATE TABLE conversations (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	key_id VARCHAR(64) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	title VARCHAR(200) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "conversations" VALUES(1,'conv-78e6429ac48f4f27ec89afa0','key-ea64e72ebc9a','pumps','报修','2026-11-23T02:47:01+00:00');
CREATE TABLE document_aliases (
	collection_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	document_id INTEGER NOT NULL, 
	PRIMARY KEY (collection_id, path, document_id), 
	FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE, 
	FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO "document_aliases" VALUES(1,'en/old.md',1);
CREATE TABLE document_versions (
	id INTEGER NOT NULL, 
	document_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	recipe VARCHAR(128) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	added VARCHAR(32) NOT NULL, 
	title TEXT NOT NULL, 
	page_count INTEGER, 
	warnings JSON NOT NULL, 
	metadata JSON NOT NULL, 
	stated_metadata JSON NOT NULL, 
	requested_metadata JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (document_id, number), 
	FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO "document_versions" VALUES(1,1,1,'replaced','0000000000000000000000000000000000000000000000000000000000000001','r1',20,'2026-11-23T02:47:01+00:00','Pump 泵',3,'["scanned"]','{"customer": "\u7ea2"}','{}','{}');
INSERT INTO "document_versions" VALUES(2,1,2,'live','0000000000000000000000000000000000000000000000000000000000000002','r1',20,'2026-11-23T02:47:01+00:00','Pump 泵',NULL,'[]','{}','{}','{}');
INSERT INTO "document_versions" VALUES(3,2,1,'live','0000000000000000000000000000000000000000000000000000000000000001','r1',20,'2026-11-23T02:47:01+00:00','Pump 泵',NULL,'[]','{}','{}','{}');
CREATE TABLE documents (
	id INTEGER NOT NULL, 
	collection_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (collection_id, path), 
	FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE
);
INSERT INTO "documents" VALUES(1,1,'en/pump.md');
INSERT INTO "documents" VALUES(2,1,'zh/泵.txt');
CREATE TABLE embeddings (
	"key" VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	vector BLOB NOT NULL, 
	PRIMARY KEY ("key", fingerprint)
);
INSERT INTO "embeddings" VALUES('85dfc2172a6394ada87a057a4d0969e9','hashing-1',X'0000003F0000003F0000003F0000003F');
INSERT INTO "embeddings" VALUES('5a3a51aa5245569e4599151d7a038bf2','hashing-1',X'0000003F0000003F0000003F0000003F');
INSERT INTO "embeddings" VALUES('bdb45a6abb7aea91105917971c3c283c','hashing-1',X'0000003F0000003F0000003F0000003F');
CREATE TABLE handovers (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	key_id VARCHAR(64) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	conversation_id VARCHAR(40), 
	answer_id VARCHAR(40), 
	state VARCHAR(16) NOT NULL, 
	note TEXT NOT NULL, 
	assignee VARCHAR(100) NOT NULL, 
	summary JSON NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	changed VARCHAR(32) NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "handovers" VALUES(1,'ho-beb9c5f0df7ecb619f9849f2','key-ea64e72ebc9a','pumps',NULL,'ans-1','open','please','','{"q": "\u6cf5"}','2026-11-23T02:47:01+00:00','2026-11-23T02:47:01+00:00');
CREATE TABLE idempotency_keys (
	id VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	begun DOUBLE NOT NULL, 
	status INTEGER, 
	headers JSON NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "idempotency_keys" VALUES('n','f',1000000000.0,201,'[["location", "/x"]]',X'00626F6479');
CREATE TABLE job_origins (
	job_id VARCHAR(40) NOT NULL, 
	key_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (job_id)
);
INSERT INTO "job_origins" VALUES('job-1','key-1');
CREATE TABLE jobs (
	number INTEGER NOT NULL, 
	id VARCHAR(40) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	arguments JSON NOT NULL, 
	settings JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	is_cancelling BOOLEAN NOT NULL, 
	stages JSON NOT NULL, 
	attempts INTEGER NOT NULL, 
	lost_attempts INTEGER NOT NULL, 
	not_before DOUBLE NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	started VARCHAR(32), 
	finished VARCHAR(32), 
	worker VARCHAR(64), 
	lease_until DOUBLE NOT NULL, 
	result JSON, 
	error JSON, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'job-1','index.rebuild','pumps','{"paths": ["\u6cf5"]}','{}','done',0,'[]',0,0,0.0,'2026-11-01T00:00:00Z',NULL,NULL,NULL,0.0,'{"ok": true}',NULL);
INSERT INTO "jobs" VALUES(2,'job-2','index.rebuild','pumps','{"paths": ["\u6cf5"]}','{}','queued',0,'[]',0,0,0.0,'2026-11-01T00:00:00Z',NULL,NULL,NULL,0.0,NULL,NULL);
CREATE TABLE meta (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema_version','5');
INSERT INTO "meta" VALUES('next_chunk_number','4');
INSERT INTO "meta" VALUES('next_audit_number','3');
INSERT INTO "meta" VALUES('audit_head','5c7a78720f2c09bc12c77452986513afe019cd89c44352838860cc9d4753f5fd');
CREATE TABLE release_events (
	number INTEGER NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	release VARCHAR(40) NOT NULL, 
	action VARCHAR(16) NOT NULL, 
	"before" VARCHAR(40), 
	time VARCHAR(32) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	proof TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "release_events" VALUES(1,'pumps','rel-1','promote',NULL,'2026-11-01T00:00:00Z','owner','{}');
CREATE TABLE releases (
	id VARCHAR(40) NOT NULL, 
	collection VARCHAR(64) NOT NULL, 
	content JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "releases" VALUES('rel-1','pumps','{"snapshot": "000001"}','active','2026-11-01T00:00:00Z');
CREATE TABLE removals (
	collection_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	PRIMARY KEY (collection_id, path), 
	FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE
);
INSERT INTO "removals" VALUES(1,'en/gone.md',2);
CREATE INDEX ix_adapters_collection ON adapters (collection);
CREATE INDEX ix_jobs_collection ON jobs (collection);
CREATE INDEX ix_jobs_state ON jobs (state, number);
CREATE UNIQUE INDEX ix_jobs_running ON jobs (collection) WHERE state = 'running';
CREATE INDEX ix_releases_collection ON releases (collection);
CREATE UNIQUE INDEX ix_releases_active ON releases (collection) WHERE state = 'active';
CREATE INDEX ix_release_events_collection ON release_events (collection);
CREATE INDEX ix_api_keys_former_digest ON api_keys (former_digest);
CREATE INDEX ix_audit_log_action ON audit_log (action);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX ix_answers_created ON answers (created);
CREATE INDEX ix_answers_conversation_id ON answers (conversation_id);
CREATE INDEX ix_answers_key_id ON answers (key_id);
CREATE INDEX ix_answers_collection ON answers (collection);
CREATE INDEX ix_answer_feedback_collection ON answer_feedback (collection);
CREATE INDEX ix_answer_feedback_answer_id ON answer_feedback (answer_id);
CREATE INDEX ix_answer_feedback_created ON answer_feedback (created);
CREATE INDEX ix_conversations_key_id ON conversations (key_id);
CREATE INDEX ix_handovers_created ON handovers (created);
CREATE INDEX ix_handovers_key_id ON handovers (key_id);
CREATE INDEX ix_handovers_collection ON handovers (collection);
CREATE INDEX ix_idempotency_keys_begun ON idempotency_keys (begun);
CREATE INDEX ix_job_origins_key_id ON job_origins (key_id);
CREATE INDEX ix_versions_state ON document_versions (state);
CREATE INDEX ix_chunks_content_id ON chunks (content_id);
CREATE INDEX ix_chunks_version_id ON chunks (version_id);
CREATE INDEX ix_chunks_embedding_key ON chunks (embedding_key);
COMMIT;
