BEGIN TRANSACTION;
CREATE TABLE book (
	id BIGINT, 
	bad DOUBLE, 
	amount DOUBLE, 
	colour TEXT, 
	tidemark_row BIGINT, 
	tidemark_unreadable TEXT
);
INSERT INTO "book" VALUES(1,1.0,0.0,'red',1,NULL);
INSERT INTO "book" VALUES(2,0.0,1.0,'blue',2,NULL);
INSERT INTO "book" VALUES(3,0.0,2.0,'red',3,NULL);
INSERT INTO "book" VALUES(4,0.0,3.0,'blue',4,NULL);
INSERT INTO "book" VALUES(5,0.0,4.0,'red',5,NULL);
INSERT INTO "book" VALUES(6,1.0,5.0,'blue',6,NULL);
INSERT INTO "book" VALUES(7,0.0,6.0,'red',7,NULL);
INSERT INTO "book" VALUES(8,0.0,7.0,'blue',8,NULL);
INSERT INTO "book" VALUES(9,0.0,8.0,'red',9,NULL);
INSERT INTO "book" VALUES(10,0.0,9.0,'blue',10,NULL);
INSERT INTO "book" VALUES(11,1.0,10.0,'red',11,NULL);
INSERT INTO "book" VALUES(12,0.0,11.0,'blue',12,NULL);
INSERT INTO "book" VALUES(13,0.0,12.0,'red',13,NULL);
INSERT INTO "book" VALUES(14,0.0,13.0,'blue',14,NULL);
INSERT INTO "book" VALUES(15,0.0,14.0,'red',15,NULL);
INSERT INTO "book" VALUES(16,1.0,15.0,'blue',16,NULL);
INSERT INTO "book" VALUES(17,0.0,16.0,'red',17,NULL);
INSERT INTO "book" VALUES(18,0.0,17.0,'blue',18,NULL);
INSERT INTO "book" VALUES(19,0.0,18.0,'red',19,NULL);
INSERT INTO "book" VALUES(20,0.0,19.0,'blue',20,NULL);
INSERT INTO "book" VALUES(21,1.0,20.0,'red',21,NULL);
INSERT INTO "book" VALUES(22,0.0,21.0,'blue',22,NULL);
INSERT INTO "book" VALUES(23,0.0,22.0,'red',23,NULL);
INSERT INTO "book" VALUES(24,0.0,23.0,'blue',24,NULL);
INSERT INTO "book" VALUES(25,0.0,24.0,'red',25,NULL);
INSERT INTO "book" VALUES(26,1.0,25.0,'blue',26,NULL);
INSERT INTO "book" VALUES(27,0.0,26.0,'red',27,NULL);
INSERT INTO "book" VALUES(28,0.0,27.0,'blue',28,NULL);
INSERT INTO "book" VALUES(29,0.0,28.0,'red',29,NULL);
INSERT INTO "book" VALUES(30,0.0,29.0,'blue',30,NULL);
CREATE TABLE tidemark_alarm_limits (
	portfolio TEXT NOT NULL, 
	model_version TEXT NOT NULL, 
	nights INTEGER NOT NULL, 
	limits JSON NOT NULL, 
	made_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_alarm_limits PRIMARY KEY (portfolio, model_version), 
	CONSTRAINT fk_tidemark_alarm_limits_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_alarm_limits_model_version FOREIGN KEY(model_version) REFERENCES tidemark_model_versions (version)
);
CREATE TABLE tidemark_api_keys (
	id INTEGER NOT NULL, 
	public_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	role TEXT NOT NULL, 
	portfolios JSON, 
	created_by TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	last_used_at DATETIME, 
	CONSTRAINT pk_tidemark_api_keys PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_api_keys_role_known CHECK (role IN ('read', 'operate', 'admin')), 
	CONSTRAINT uq_tidemark_api_keys_public_id UNIQUE (public_id)
);
INSERT INTO "tidemark_api_keys" VALUES(1,'187aff8eb1ba','old key','97d8e1116f7c44b9217d1efcb943b0a3dab161db6d3d7e168345df8a91e8eb9c','admin',NULL,'test','2026-11-30 05:43:37.487000',NULL,NULL,NULL);
CREATE TABLE tidemark_champions (
	portfolio TEXT NOT NULL, 
	version TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	since DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_champions PRIMARY KEY (portfolio), 
	CONSTRAINT fk_tidemark_champions_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_champions_version FOREIGN KEY(version) REFERENCES tidemark_model_versions (version)
);
INSERT INTO "tidemark_champions" VALUES('book','m1',1,'2026-11-30 05:43:36.816000');
CREATE TABLE tidemark_decisions (
	id INTEGER NOT NULL, 
	portfolio TEXT NOT NULL, 
	version TEXT NOT NULL, 
	against_version TEXT, 
	promoted BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	figures JSON NOT NULL, 
	decided_by TEXT NOT NULL, 
	job_id INTEGER, 
	created_at DATETIME NOT NULL, action TEXT, 
	CONSTRAINT pk_tidemark_decisions PRIMARY KEY (id), 
	CONSTRAINT fk_tidemark_decisions_against_version FOREIGN KEY(against_version) REFERENCES tidemark_model_versions (version), 
	CONSTRAINT fk_tidemark_decisions_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_decisions_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_decisions_version FOREIGN KEY(version) REFERENCES tidemark_model_versions (version), 
	CONSTRAINT uq_tidemark_decisions_job_id UNIQUE (job_id)
);
INSERT INTO "tidemark_decisions" VALUES(1,'book','m1',NULL,1,'test','{}','test',NULL,'2026-11-30 05:43:36.819000','gate');
CREATE TABLE tidemark_drift_reports (
	id INTEGER NOT NULL, 
	portfolio TEXT NOT NULL, 
	job_id INTEGER NOT NULL, 
	model_version TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	figures JSON NOT NULL, 
	created_at DATETIME NOT NULL, psi_corrected DOUBLE, shift DOUBLE, calendar TEXT, 
	CONSTRAINT pk_tidemark_drift_reports PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_drift_reports_verdict_known CHECK (verdict IN ('stable', 'watch', 'drifted', 'broken_pipeline', 'insufficient')), 
	CONSTRAINT fk_tidemark_drift_reports_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_drift_reports_model_version FOREIGN KEY(model_version) REFERENCES tidemark_model_versions (version), 
	CONSTRAINT fk_tidemark_drift_reports_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT uq_tidemark_drift_reports_portfolio_job_id UNIQUE (portfolio, job_id)
);
INSERT INTO "tidemark_drift_reports" VALUES(1,'book',1,'m1','stable','{"psi_corrected":0.01}','2026-11-30 05:43:37.226000',NULL,NULL,NULL);
CREATE TABLE tidemark_ended_sessions (
	session_id TEXT NOT NULL, 
	forget_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_ended_sessions PRIMARY KEY (session_id)
);
CREATE TABLE tidemark_events (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	job_id INTEGER, 
	shard_id INTEGER, 
	portfolio TEXT, 
	event TEXT NOT NULL, 
	who TEXT NOT NULL, 
	why TEXT NOT NULL, 
	CONSTRAINT pk_tidemark_events PRIMARY KEY (id), 
	CONSTRAINT fk_tidemark_events_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id)
);
INSERT INTO "tidemark_events" VALUES(1,'2026-11-30 05:43:36.736000',NULL,NULL,'book','portfolio.added','test','fingerprint 993b90b90a5f');
INSERT INTO "tidemark_events" VALUES(2,'2026-11-30 05:43:36.796000',NULL,NULL,'book','records.loaded','test','30 records, 0 replaced');
INSERT INTO "tidemark_events" VALUES(3,'2026-11-30 05:43:36.826000',NULL,NULL,'book','model.promoted','test','test');
INSERT INTO "tidemark_events" VALUES(4,'2026-11-30 05:43:36.841000',1,NULL,NULL,'job.submitted','test','scoring');
INSERT INTO "tidemark_events" VALUES(5,'2026-11-30 05:43:36.951000',1,NULL,NULL,'job.planned','scheduler','30 records, 3 shards');
INSERT INTO "tidemark_events" VALUES(6,'2026-11-30 05:43:37.040000',1,1,NULL,'shard.claimed','w1','attempt 1, token 1');
INSERT INTO "tidemark_events" VALUES(7,'2026-11-30 05:43:37.080000',1,1,NULL,'shard.done','w1','9 scored, 1 rejected');
INSERT INTO "tidemark_events" VALUES(8,'2026-11-30 05:43:37.099000',1,2,NULL,'shard.claimed','w1','attempt 1, token 1');
INSERT INTO "tidemark_events" VALUES(9,'2026-11-30 05:43:37.134000',1,2,NULL,'shard.done','w1','10 scored, 0 rejected');
INSERT INTO "tidemark_events" VALUES(10,'2026-11-30 05:43:37.156000',1,3,NULL,'shard.claimed','w1','attempt 1, token 1');
INSERT INTO "tidemark_events" VALUES(11,'2026-11-30 05:43:37.184000',1,3,NULL,'shard.done','w1','10 scored, 0 rejected');
INSERT INTO "tidemark_events" VALUES(12,'2026-11-30 05:43:37.201000',1,NULL,NULL,'job.done','tidemark','');
INSERT INTO "tidemark_events" VALUES(13,'2026-11-30 05:43:37.215000',2,NULL,NULL,'job.submitted','tidemark','monitoring of job 1');
INSERT INTO "tidemark_events" VALUES(14,'2026-11-30 05:43:37.227000',1,NULL,'book','drift.stable','monitor','');
INSERT INTO "tidemark_events" VALUES(15,'2026-11-30 05:43:37.235000',3,NULL,NULL,'job.submitted','test','scoring');
INSERT INTO "tidemark_events" VALUES(16,'2026-11-30 05:43:37.289000',3,NULL,NULL,'job.planned','scheduler','30 records, 3 shards');
INSERT INTO "tidemark_events" VALUES(17,'2026-11-30 05:43:37.314000',3,4,NULL,'shard.claimed','w1','attempt 1, token 1');
INSERT INTO "tidemark_events" VALUES(18,'2026-11-30 05:43:37.338000',3,4,NULL,'shard.done','w1','10 scored, 0 rejected');
INSERT INTO "tidemark_events" VALUES(19,'2026-11-30 05:43:37.357000',3,5,NULL,'shard.claimed','dead','attempt 1, token 1');
INSERT INTO "tidemark_events" VALUES(20,'2026-11-30 05:43:37.369000',4,NULL,NULL,'job.submitted','test','scoring');
INSERT INTO "tidemark_events" VALUES(21,'2026-11-30 05:43:37.374000',5,NULL,NULL,'job.submitted','test','training');
INSERT INTO "tidemark_events" VALUES(22,'2026-11-30 05:43:37.386000',6,NULL,NULL,'job.submitted','test','fine_tuning');
INSERT INTO "tidemark_events" VALUES(23,'2026-11-30 05:43:37.398000',7,NULL,NULL,'job.submitted','test','monitoring');
INSERT INTO "tidemark_events" VALUES(24,'2026-11-30 05:43:37.469000',NULL,NULL,'book','outcomes.loaded','test','2 outcomes, 0 of them corrected');
INSERT INTO "tidemark_events" VALUES(25,'2026-11-30 05:43:37.476000',8,NULL,NULL,'job.submitted','test','monitoring');
INSERT INTO "tidemark_events" VALUES(26,'2026-11-30 05:43:37.488000',NULL,NULL,NULL,'key.created','test','key 187aff8eb1ba (old key)');
INSERT INTO "tidemark_events" VALUES(27,'2026-11-30 05:43:37.499000',NULL,NULL,NULL,'webhook.added','test','webhook 1');
CREATE TABLE tidemark_job_histograms (
	job_id INTEGER NOT NULL, 
	counts JSON NOT NULL, 
	CONSTRAINT pk_tidemark_job_histograms PRIMARY KEY (job_id), 
	CONSTRAINT fk_tidemark_job_histograms_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id)
);
INSERT INTO "tidemark_job_histograms" VALUES(1,'{"points":{"500":29},"unscorable":1,"fields":{},"segments":{},"migration":{},"canary":null}');
CREATE TABLE tidemark_jobs (
	id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	portfolio TEXT NOT NULL, 
	state TEXT NOT NULL, 
	priority SMALLINT NOT NULL, 
	idempotency_key TEXT, 
	request_fingerprint TEXT NOT NULL, 
	requested_by TEXT NOT NULL, 
	definition TEXT NOT NULL, 
	options JSON NOT NULL, 
	subject_job_id INTEGER, 
	model_version TEXT, 
	inputs BIGINT NOT NULL, 
	scored BIGINT NOT NULL, 
	rejected BIGINT NOT NULL, 
	shards_total INTEGER NOT NULL, 
	shards_open INTEGER NOT NULL, 
	shards_failed INTEGER NOT NULL, 
	digest TEXT, 
	data_fingerprint TEXT, 
	cause TEXT, 
	detail TEXT, 
	resume_at DATETIME, 
	progress JSON, 
	result JSON, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, unusable_reason TEXT, compared_job_id INTEGER, 
	CONSTRAINT pk_tidemark_jobs PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_jobs_finished_has_a_time CHECK ((state IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)), 
	CONSTRAINT ck_tidemark_jobs_cause_known CHECK (cause IS NULL OR cause IN ('reject_budget', 'shard_failed', 'model_unreadable', 'source_unreadable', 'training_data', 'disk_full', 'disk_read_only', 'database_refuses_writes', 'redis_refuses_writes')), 
	CONSTRAINT ck_tidemark_jobs_every_record_accounted_for CHECK (kind <> 'scoring' OR state <> 'done' OR inputs = scored + rejected), 
	CONSTRAINT ck_tidemark_jobs_kind_known CHECK (kind IN ('scoring', 'training', 'fine_tuning', 'monitoring')), 
	CONSTRAINT ck_tidemark_jobs_state_known CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')), 
	CONSTRAINT ck_tidemark_jobs_open_shards_counted CHECK (shards_open >= 0 AND shards_open <= shards_total), 
	CONSTRAINT fk_tidemark_jobs_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_jobs_subject_job_id FOREIGN KEY(subject_job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT uq_tidemark_jobs_idempotency_key UNIQUE (idempotency_key), 
	CONSTRAINT uq_tidemark_jobs_kind_subject_job_id UNIQUE (kind, subject_job_id)
);
INSERT INTO "tidemark_jobs" VALUES(1,'scoring','book','done',100,NULL,'78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',NULL,'m1',30,29,1,3,0,0,'0000000000000000000000000000000000000000000000000000000000000003','0000000000000000000000000000000000000000000000000000000000000006',NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:36.841000','2026-11-30 05:43:37.032000','2026-11-30 05:43:37.201000',NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(2,'monitoring','book','queued',100,NULL,'889f68183b766ac9daeb61afdcc85e15f96d2dd06466817db9639afa930ddac3','tidemark','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',1,'m1',0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.214000',NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(3,'scoring','book','running',100,NULL,'78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',NULL,'m1',30,10,0,3,2,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.235000','2026-11-30 05:43:37.314000',NULL,NULL,1);
INSERT INTO "tidemark_jobs" VALUES(4,'scoring','book','queued',100,'night 7','78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',NULL,'m1',0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.368000',NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(5,'training','book','queued',100,NULL,'3607f29760e6a7b54fd9dc554b1b5e18f1263b32b64bf8ff13c8625b587693d8','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{"epochs":1}',NULL,NULL,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.374000',NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(6,'fine_tuning','book','queued',100,NULL,'f3324c4e948d632cee59d37cb7a9552665057e2ce5ef044af4e6ceb066059137','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',NULL,NULL,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.385000',NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(7,'monitoring','book','queued',100,NULL,'55fd8e14286fafc15d56a897214a3a24f6955f51087298fad59c07db8e2bd739','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}',NULL,NULL,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.397000',NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_jobs" VALUES(8,'monitoring','book','queued',100,NULL,'c4569eed53bf8737454bfa7815455d3825c3d024a991758b582d3f3b7c5f4409','test','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{"task":"vintages"}',NULL,NULL,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 05:43:37.471000',NULL,NULL,NULL,NULL);
CREATE TABLE tidemark_model_versions (
	version TEXT NOT NULL, 
	portfolio TEXT NOT NULL, 
	state TEXT NOT NULL, 
	job_id INTEGER, 
	parent_version TEXT, 
	definition TEXT NOT NULL, 
	metrics JSON NOT NULL, 
	reference JSON NOT NULL, 
	created_at DATETIME NOT NULL, learned_until JSON, 
	CONSTRAINT pk_tidemark_model_versions PRIMARY KEY (version), 
	CONSTRAINT ck_tidemark_model_versions_state_known CHECK (state IN ('candidate', 'challenger', 'champion', 'retired', 'refused')), 
	CONSTRAINT fk_tidemark_model_versions_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_model_versions_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name)
);
INSERT INTO "tidemark_model_versions" VALUES('m1','book','champion',NULL,NULL,'{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":0.01,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','{}','{"points":{"500":300,"520":300},"unscorable":0}','2026-11-30 05:43:36.810000',NULL);
CREATE TABLE tidemark_online_requests (
	id TEXT NOT NULL, 
	portfolio TEXT NOT NULL, 
	records TEXT, 
	answer TEXT, 
	expires_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_online_requests PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_online_requests_records_go_with_the_answer CHECK (records IS NULL OR answer IS NULL), 
	CONSTRAINT fk_tidemark_online_requests_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name)
);
CREATE TABLE tidemark_outcomes (
	id INTEGER NOT NULL, 
	portfolio TEXT NOT NULL, 
	record_key TEXT NOT NULL, 
	outcome SMALLINT NOT NULL, 
	outcome_date TEXT NOT NULL, 
	scored_job_id INTEGER, 
	loaded_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_outcomes PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_outcomes_outcome_known CHECK (outcome IN (0, 1)), 
	CONSTRAINT fk_tidemark_outcomes_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_outcomes_scored_job_id FOREIGN KEY(scored_job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT uq_tidemark_outcomes_portfolio_record_key_outcome_date UNIQUE (portfolio, record_key, outcome_date)
);
INSERT INTO "tidemark_outcomes" VALUES(1,'book','1',0,'2026-02-01',NULL,'2026-11-30 05:43:37.469000');
INSERT INTO "tidemark_outcomes" VALUES(2,'book','2',1,'2026-02-01',NULL,'2026-11-30 05:43:37.469000');
CREATE TABLE tidemark_portfolios (
	name TEXT NOT NULL, 
	title TEXT NOT NULL, 
	definition TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	running_shards INTEGER, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_portfolios PRIMARY KEY (name), 
	CONSTRAINT ck_tidemark_portfolios_running_shards_positive CHECK (running_shards IS NULL OR running_shards > 0)
);
INSERT INTO "tidemark_portfolios" VALUES('book','A book','{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}','993b90b90a5f860938755874fd9b41c79e6a021ba7b998e20ce5f0884b14b85f',NULL,'2026-11-30 05:43:36.725000','2026-11-30 05:43:36.725000');
CREATE TABLE tidemark_processes (
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, memory_bytes BIGINT, 
	CONSTRAINT pk_tidemark_processes PRIMARY KEY (name)
);
CREATE TABLE tidemark_rejects (
	job_id INTEGER NOT NULL, 
	shard_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	token INTEGER NOT NULL, 
	record_key TEXT, 
	field TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_tidemark_rejects PRIMARY KEY (job_id, shard_id, ordinal), 
	CONSTRAINT fk_tidemark_rejects_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id)
);
INSERT INTO "tidemark_rejects" VALUES(1,1,0,1,'1','amount','not_a_number','expected a number');
CREATE TABLE tidemark_removals (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	cause TEXT NOT NULL, 
	scores INTEGER NOT NULL, 
	rejects INTEGER NOT NULL, 
	digest TEXT, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_removals PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_removals_cause_known CHECK (cause IN ('erasure', 'retention')), 
	CONSTRAINT fk_tidemark_removals_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id)
);
CREATE TABLE tidemark_retraining (
	portfolio TEXT NOT NULL, 
	is_held BOOLEAN NOT NULL, 
	failures INTEGER NOT NULL, 
	last_job_id INTEGER, 
	last_night_id INTEGER, 
	tried_until JSON, 
	CONSTRAINT pk_tidemark_retraining PRIMARY KEY (portfolio), 
	CONSTRAINT fk_tidemark_retraining_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_retraining_last_job_id FOREIGN KEY(last_job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_retraining_last_night_id FOREIGN KEY(last_night_id) REFERENCES tidemark_jobs (id)
);
CREATE TABLE tidemark_schedule_runs (
	id INTEGER NOT NULL, 
	schedule_id INTEGER NOT NULL, 
	due_at DATETIME NOT NULL, 
	state TEXT NOT NULL, 
	job_id INTEGER, 
	cause TEXT, 
	detail TEXT, 
	is_by_hand BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_schedule_runs PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_schedule_runs_state_known CHECK (state IN ('submitted', 'missed', 'skipped')), 
	CONSTRAINT ck_tidemark_schedule_runs_cause_known CHECK (cause IN ('downtime', 'no_champion', 'previous_unfinished', 'paused', 'removed', 'unreadable')), 
	CONSTRAINT ck_tidemark_schedule_runs_submitted_has_a_job CHECK ((state = 'submitted') = (job_id IS NOT NULL)), 
	CONSTRAINT ck_tidemark_schedule_runs_without_a_job_has_a_cause CHECK ((state = 'submitted') = (cause IS NULL)), 
	CONSTRAINT fk_tidemark_schedule_runs_schedule_id FOREIGN KEY(schedule_id) REFERENCES tidemark_schedules (id), 
	CONSTRAINT fk_tidemark_schedule_runs_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT uq_tidemark_schedule_runs_schedule_id_due_at UNIQUE (schedule_id, due_at), 
	CONSTRAINT uq_tidemark_schedule_runs_job_id UNIQUE (job_id)
);
CREATE TABLE tidemark_schedules (
	id INTEGER NOT NULL, 
	portfolio TEXT NOT NULL, 
	cron TEXT NOT NULL, 
	time_zone TEXT NOT NULL, 
	catch_up TEXT NOT NULL, 
	overlap TEXT NOT NULL, 
	state TEXT NOT NULL, 
	next_due_at DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_schedules PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_schedules_catch_up_known CHECK (catch_up IN ('latest', 'all', 'none')), 
	CONSTRAINT ck_tidemark_schedules_overlap_known CHECK (overlap IN ('skip', 'queue')), 
	CONSTRAINT ck_tidemark_schedules_state_known CHECK (state IN ('active', 'paused', 'removed')), 
	CONSTRAINT ck_tidemark_schedules_active_has_a_due_time CHECK ((state = 'active') = (next_due_at IS NOT NULL)), 
	CONSTRAINT fk_tidemark_schedules_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name)
);
CREATE TABLE tidemark_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tidemark_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tidemark_schema_version" VALUES('0010');
CREATE TABLE tidemark_scores (
	job_id INTEGER NOT NULL, 
	record_key TEXT NOT NULL, 
	shard_id INTEGER NOT NULL, 
	token INTEGER NOT NULL, 
	probability DOUBLE NOT NULL, 
	points INTEGER NOT NULL, 
	band TEXT NOT NULL, reasons TEXT, 
	CONSTRAINT pk_tidemark_scores PRIMARY KEY (job_id, record_key)
);
INSERT INTO "tidemark_scores" VALUES(1,'2',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'3',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'4',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'5',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'6',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'7',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'8',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'9',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'10',1,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'11',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'12',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'13',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'14',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'15',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'16',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'17',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'18',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'19',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'20',2,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'21',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'22',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'23',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'24',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'25',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'26',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'27',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'28',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'29',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(1,'30',3,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'1',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'2',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'3',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'4',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'5',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'6',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'7',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'8',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'9',4,1,0.25,500,'D',NULL);
INSERT INTO "tidemark_scores" VALUES(3,'10',4,1,0.25,500,'D',NULL);
CREATE TABLE tidemark_shadow_histograms (
	shard_id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	model_version TEXT NOT NULL, 
	points JSON NOT NULL, 
	records BIGINT NOT NULL, 
	largest_difference DOUBLE NOT NULL, 
	CONSTRAINT pk_tidemark_shadow_histograms PRIMARY KEY (shard_id), 
	CONSTRAINT fk_tidemark_shadow_histograms_shard_id FOREIGN KEY(shard_id) REFERENCES tidemark_shards (id), 
	CONSTRAINT fk_tidemark_shadow_histograms_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_shadow_histograms_model_version FOREIGN KEY(model_version) REFERENCES tidemark_model_versions (version)
);
CREATE TABLE tidemark_shard_histograms (
	shard_id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	points JSON NOT NULL, 
	unscorable BIGINT NOT NULL, fields JSON, segments JSON, migration JSON, canary JSON, keys_hash TEXT, bands BLOB, 
	CONSTRAINT pk_tidemark_shard_histograms PRIMARY KEY (shard_id), 
	CONSTRAINT fk_tidemark_shard_histograms_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_shard_histograms_shard_id FOREIGN KEY(shard_id) REFERENCES tidemark_shards (id)
);
INSERT INTO "tidemark_shard_histograms" VALUES(1,1,'{"500":9}',1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_shard_histograms" VALUES(2,1,'{"500":10}',0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_shard_histograms" VALUES(3,1,'{"500":10}',0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_shard_histograms" VALUES(4,3,'{"500":10}',0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE tidemark_shards (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	queue TEXT NOT NULL, 
	priority SMALLINT NOT NULL, 
	key_after TEXT, 
	key_upto TEXT, 
	holds_missing_keys BOOLEAN NOT NULL, 
	expected BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	token INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	worker TEXT, 
	lease_until DATETIME, 
	heartbeat_at DATETIME, 
	available_at DATETIME NOT NULL, 
	hinted_at DATETIME, 
	read_rows BIGINT NOT NULL, 
	scored BIGINT NOT NULL, 
	rejected BIGINT NOT NULL, 
	digest TEXT, 
	data_digest TEXT, 
	error TEXT, 
	finished_at DATETIME, 
	CONSTRAINT pk_tidemark_shards PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_shards_every_record_accounted_for CHECK (state <> 'done' OR read_rows = scored + rejected), 
	CONSTRAINT ck_tidemark_shards_running_has_a_worker CHECK (state <> 'running' OR worker IS NOT NULL), 
	CONSTRAINT ck_tidemark_shards_state_known CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled', 'split')), 
	CONSTRAINT fk_tidemark_shards_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT uq_tidemark_shards_job_id_ordinal UNIQUE (job_id, ordinal)
);
INSERT INTO "tidemark_shards" VALUES(1,1,0,'scoring',100,NULL,'10',0,10,'done',1,1,'w1',NULL,'2026-11-30 05:43:37.014000','2026-11-30 05:43:36.951000',NULL,10,9,1,'1','2',NULL,'2026-11-30 05:43:37.070000');
INSERT INTO "tidemark_shards" VALUES(2,1,1,'scoring',100,'10','20',0,10,'done',1,1,'w1',NULL,'2026-11-30 05:43:37.097000','2026-11-30 05:43:36.951000',NULL,10,10,0,'1','2',NULL,'2026-11-30 05:43:37.127000');
INSERT INTO "tidemark_shards" VALUES(3,1,2,'scoring',100,'20','30',0,10,'done',1,1,'w1',NULL,'2026-11-30 05:43:37.147000','2026-11-30 05:43:36.951000',NULL,10,10,0,'1','2',NULL,'2026-11-30 05:43:37.178000');
INSERT INTO "tidemark_shards" VALUES(4,3,0,'scoring',100,NULL,'10',0,10,'done',1,1,'w1',NULL,'2026-11-30 05:43:37.312000','2026-11-30 05:43:37.289000',NULL,10,10,0,'1','2',NULL,'2026-11-30 05:43:37.337000');
INSERT INTO "tidemark_shards" VALUES(5,3,1,'scoring',100,'10','20',0,10,'running',1,1,'dead','2026-11-30 05:44:37.351000','2026-11-30 05:43:37.351000','2026-11-30 05:43:37.289000',NULL,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "tidemark_shards" VALUES(6,3,2,'scoring',100,'20','30',0,10,'waiting',0,0,NULL,NULL,NULL,'2026-11-30 05:43:37.289000',NULL,0,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE tidemark_vintages (
	job_id INTEGER NOT NULL, 
	portfolio TEXT NOT NULL, 
	model_version TEXT NOT NULL, 
	outcomes BIGINT NOT NULL, 
	bad BIGINT NOT NULL, 
	figures JSON NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_vintages PRIMARY KEY (job_id), 
	CONSTRAINT fk_tidemark_vintages_job_id FOREIGN KEY(job_id) REFERENCES tidemark_jobs (id), 
	CONSTRAINT fk_tidemark_vintages_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name), 
	CONSTRAINT fk_tidemark_vintages_model_version FOREIGN KEY(model_version) REFERENCES tidemark_model_versions (version)
);
CREATE TABLE tidemark_webhook_deliveries (
	id INTEGER NOT NULL, 
	webhook_id INTEGER NOT NULL, 
	event_id INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	due_at DATETIME NOT NULL, 
	status INTEGER, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_tidemark_webhook_deliveries PRIMARY KEY (id), 
	CONSTRAINT ck_tidemark_webhook_deliveries_state_known CHECK (state IN ('waiting', 'delivered', 'failed')), 
	CONSTRAINT fk_tidemark_webhook_deliveries_webhook_id FOREIGN KEY(webhook_id) REFERENCES tidemark_webhooks (id), 
	CONSTRAINT fk_tidemark_webhook_deliveries_event_id FOREIGN KEY(event_id) REFERENCES tidemark_events (id), 
	CONSTRAINT uq_tidemark_webhook_deliveries_webhook_id_event_id UNIQUE (webhook_id, event_id)
);
CREATE TABLE tidemark_webhooks (
	id INTEGER NOT NULL, 
	url TEXT NOT NULL, 
	secret TEXT NOT NULL, 
	events JSON NOT NULL, 
	portfolio TEXT, 
	is_active BOOLEAN NOT NULL, 
	created_by TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_tidemark_webhooks PRIMARY KEY (id), 
	CONSTRAINT fk_tidemark_webhooks_portfolio FOREIGN KEY(portfolio) REFERENCES tidemark_portfolios (name)
);
INSERT INTO "tidemark_webhooks" VALUES(1,'https://receiver.example/hook','whsec_yxVhI2XdwedLRIBKN509hNEKsROE+Tzk6OFuG3dV2fk=','["job.*"]',NULL,1,'test','2026-11-30 05:43:37.499000');
CREATE INDEX ix_tidemark_jobs_open ON tidemark_jobs (state, id) WHERE state IN ('queued', 'running');
CREATE INDEX ix_tidemark_jobs_portfolio_id ON tidemark_jobs (portfolio, id);
CREATE INDEX ix_tidemark_events_job_id_id ON tidemark_events (job_id, id);
CREATE INDEX ix_tidemark_model_versions_portfolio_created_at ON tidemark_model_versions (portfolio, created_at);
CREATE INDEX ix_tidemark_rejects_job_id_record_key ON tidemark_rejects (job_id, record_key);
CREATE INDEX ix_tidemark_shards_claim ON tidemark_shards (queue, state, priority, job_id, ordinal) WHERE state IN ('waiting', 'running');
CREATE INDEX ix_tidemark_shard_histograms_job_id ON tidemark_shard_histograms (job_id);
CREATE UNIQUE INDEX uq_tidemark_schedules_kept ON tidemark_schedules (portfolio, cron, time_zone) WHERE state <> 'removed';
CREATE UNIQUE INDEX uq_tidemark_jobs_fine_tuning_in_flight ON tidemark_jobs (portfolio) WHERE kind = 'fine_tuning' AND state IN ('queued', 'running', 'paused');
CREATE INDEX ix_tidemark_outcomes_portfolio_id ON tidemark_outcomes (portfolio, id);
CREATE INDEX ix_tidemark_outcomes_scored_job_id ON tidemark_outcomes (scored_job_id);
CREATE INDEX ix_tidemark_vintages_portfolio_job_id ON tidemark_vintages (portfolio, job_id);
CREATE INDEX ix_tidemark_shadow_histograms_job_id ON tidemark_shadow_histograms (job_id);
CREATE INDEX ix_tidemark_webhook_deliveries_due ON tidemark_webhook_deliveries (due_at) WHERE state = 'waiting';
CREATE INDEX ix_tidemark_online_requests_expires_at ON tidemark_online_requests (expires_at);
CREATE INDEX ix_tidemark_removals_job_id ON tidemark_removals (job_id);
CREATE INDEX ix_tidemark_events_lost_leases ON tidemark_events (id) WHERE event = 'shard.taken_back';
CREATE VIEW latest_scores AS
SELECT newest.portfolio, score.record_key, score.probability, score.points, score.band,
       newest.model_version, newest.id AS job_id, newest.finished_at AS scored_at,
       score.reasons, json_extract(score.reasons, '$[0]') AS reason_1, json_extract(score.reasons, '$[1]') AS reason_2, json_extract(score.reasons, '$[2]') AS reason_3, json_extract(score.reasons, '$[3]') AS reason_4
FROM (
    SELECT id, portfolio, model_version, finished_at,
           row_number() OVER (PARTITION BY portfolio ORDER BY finished_at DESC, id DESC) AS age
    FROM tidemark_jobs
    WHERE kind = 'scoring' AND state = 'done' AND unusable_reason IS NULL
) AS newest
JOIN tidemark_scores AS score ON score.job_id = newest.id
WHERE newest.age = 1;
CREATE INDEX ix_tidemark_events_portfolio ON tidemark_events (portfolio, id) WHERE portfolio IS NOT NULL;
CREATE INDEX ix_book_id ON book (id);
COMMIT;
