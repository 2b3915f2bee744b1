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
	PRIMARY KEY (id), 
	FOREIGN KEY(version_id) REFERENCES document_versions (id) ON DELETE CASCADE
);
INSERT INTO "chunks" VALUES(1,1,'chunk-1','5a3a51aa5245569e4599151d7a038bf2',0,'Clean the seal weekly.','["Seals"]',NULL,'text','en');
INSERT INTO "chunks" VALUES(2,2,'chunk-2','85dfc2172a6394ada87a057a4d0969e9',0,'Clean the seal monthly.','["Seals"]',NULL,'text','en');
INSERT INTO "chunks" VALUES(3,3,'chunk-zh','bdb45a6abb7aea91105917971c3c283c',0,'每周清洗密封圈。','[]',NULL,'text','zh');
CREATE TABLE collections (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	generation BIGINT NOT NULL, 
	created VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "collections" VALUES(1,'pumps',3,'2026-11-22T20:21:18+00:00');
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
	PRIMARY KEY (id), 
	UNIQUE (document_id, number), 
	FOREIGN KEY(document_id) REFERENCES documents (id) ON DELETE CASCADE
);
INSERT INTO "document_versions" VALUES(1,1,1,'replaced','1111111111111111111111111111111111111111111111111111111111111111','1:256:hashing-1',40,'2026-11-22T20:21:18+00:00','Pump',NULL,'["w"]');
INSERT INTO "document_versions" VALUES(2,1,2,'live','2222222222222222222222222222222222222222222222222222222222222222','1:256:hashing-1',40,'2026-11-22T20:21:18+00:00','Pump',NULL,'["w"]');
INSERT INTO "document_versions" VALUES(3,2,1,'live','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','1:256:hashing-1',40,'2026-11-22T20:21:18+00:00','泵',NULL,'[]');
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
INSERT INTO "embeddings" VALUES('5a3a51aa5245569e4599151d7a038bf2','hashing-1',X'31323334');
INSERT INTO "embeddings" VALUES('85dfc2172a6394ada87a057a4d0969e9','hashing-1',X'31323334');
CREATE TABLE meta (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema_version','1');
INSERT INTO "meta" VALUES('next_chunk_number','4');
CREATE INDEX ix_adapters_collection ON adapters (collection);
CREATE INDEX ix_versions_state ON document_versions (state);
CREATE INDEX ix_chunks_version_id ON chunks (version_id);
CREATE INDEX ix_chunks_content_id ON chunks (content_id);
CREATE INDEX ix_chunks_embedding_key ON chunks (embedding_key);
COMMIT;
