CREATE TABLE public.book (
    id bigint,
    bad double precision,
    amount double precision,
    colour text,
    tidemark_row bigint,
    tidemark_unreadable text
);
CREATE TABLE public.tidemark_jobs (
    id bigint NOT NULL,
    kind text NOT NULL,
    portfolio text NOT NULL,
    state text NOT NULL,
    priority smallint NOT NULL,
    idempotency_key text,
    request_fingerprint text NOT NULL,
    requested_by text NOT NULL,
    definition text NOT NULL,
    options jsonb NOT NULL,
    subject_job_id bigint,
    model_version text,
    inputs bigint NOT NULL,
    scored bigint NOT NULL,
    rejected bigint NOT NULL,
    shards_total integer NOT NULL,
    shards_open integer NOT NULL,
    shards_failed integer NOT NULL,
    digest text,
    data_fingerprint text,
    cause text,
    detail text,
    resume_at timestamp with time zone,
    progress jsonb,
    result jsonb,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    unusable_reason text,
    compared_job_id bigint,
    CONSTRAINT ck_tidemark_jobs_cause_known CHECK (((cause IS NULL) OR (cause = ANY (ARRAY['reject_budget'::text, 'shard_failed'::text, 'model_unreadable'::text, 'source_unreadable'::text, 'training_data'::text, 'disk_full'::text, 'disk_read_only'::text, 'database_refuses_writes'::text, 'redis_refuses_writes'::text])))),
    CONSTRAINT ck_tidemark_jobs_every_record_accounted_for CHECK (((kind <> 'scoring'::text) OR (state <> 'done'::text) OR (inputs = (scored + rejected)))),
    CONSTRAINT ck_tidemark_jobs_finished_has_a_time CHECK (((state = ANY (ARRAY['done'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT ck_tidemark_jobs_kind_known CHECK ((kind = ANY (ARRAY['scoring'::text, 'training'::text, 'fine_tuning'::text, 'monitoring'::text]))),
    CONSTRAINT ck_tidemark_jobs_open_shards_counted CHECK (((shards_open >= 0) AND (shards_open <= shards_total))),
    CONSTRAINT ck_tidemark_jobs_state_known CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'paused'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE TABLE public.tidemark_scores (
    job_id bigint NOT NULL,
    record_key text NOT NULL,
    shard_id bigint NOT NULL,
    token integer NOT NULL,
    probability double precision NOT NULL,
    points integer NOT NULL,
    band text NOT NULL,
    reasons text
);
CREATE VIEW public.latest_scores AS
 SELECT newest.portfolio,
    score.record_key,
    score.probability,
    score.points,
    score.band,
    newest.model_version,
    newest.id AS job_id,
    newest.finished_at AS scored_at,
    score.reasons,
    ((score.reasons)::json ->> 0) AS reason_1,
    ((score.reasons)::json ->> 1) AS reason_2,
    ((score.reasons)::json ->> 2) AS reason_3,
    ((score.reasons)::json ->> 3) AS reason_4
   FROM (( SELECT tidemark_jobs.id,
            tidemark_jobs.portfolio,
            tidemark_jobs.model_version,
            tidemark_jobs.finished_at,
            row_number() OVER (PARTITION BY tidemark_jobs.portfolio ORDER BY tidemark_jobs.finished_at DESC, tidemark_jobs.id DESC) AS age
           FROM public.tidemark_jobs
          WHERE ((tidemark_jobs.kind = 'scoring'::text) AND (tidemark_jobs.state = 'done'::text) AND (tidemark_jobs.unusable_reason IS NULL))) newest
     JOIN public.tidemark_scores score ON ((score.job_id = newest.id)))
  WHERE (newest.age = 1);
CREATE TABLE public.tidemark_alarm_limits (
    portfolio text NOT NULL,
    model_version text NOT NULL,
    nights integer NOT NULL,
    limits jsonb NOT NULL,
    made_at timestamp with time zone NOT NULL
);
CREATE TABLE public.tidemark_api_keys (
    id bigint NOT NULL,
    public_id text NOT NULL,
    name text NOT NULL,
    secret_hash text NOT NULL,
    role text NOT NULL,
    portfolios jsonb,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT ck_tidemark_api_keys_role_known CHECK ((role = ANY (ARRAY['read'::text, 'operate'::text, 'admin'::text])))
);
CREATE SEQUENCE public.tidemark_api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_api_keys_id_seq OWNED BY public.tidemark_api_keys.id;
CREATE TABLE public.tidemark_champions (
    portfolio text NOT NULL,
    version text NOT NULL,
    revision integer NOT NULL,
    since timestamp with time zone NOT NULL
);
CREATE TABLE public.tidemark_decisions (
    id bigint NOT NULL,
    portfolio text NOT NULL,
    version text NOT NULL,
    against_version text,
    promoted boolean NOT NULL,
    reason text NOT NULL,
    figures jsonb NOT NULL,
    decided_by text NOT NULL,
    job_id bigint,
    created_at timestamp with time zone NOT NULL,
    action text
);
CREATE SEQUENCE public.tidemark_decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_decisions_id_seq OWNED BY public.tidemark_decisions.id;
CREATE TABLE public.tidemark_drift_reports (
    id bigint NOT NULL,
    portfolio text NOT NULL,
    job_id bigint NOT NULL,
    model_version text NOT NULL,
    verdict text NOT NULL,
    figures jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    psi_corrected double precision,
    shift double precision,
    calendar text,
    CONSTRAINT ck_tidemark_drift_reports_verdict_known CHECK ((verdict = ANY (ARRAY['stable'::text, 'watch'::text, 'drifted'::text, 'broken_pipeline'::text, 'insufficient'::text])))
);
ALTER TABLE ONLY public.tidemark_drift_reports ALTER COLUMN figures SET STORAGE EXTERNAL;
CREATE SEQUENCE public.tidemark_drift_reports_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_drift_reports_id_seq OWNED BY public.tidemark_drift_reports.id;
CREATE TABLE public.tidemark_ended_sessions (
    session_id text NOT NULL,
    forget_at timestamp with time zone NOT NULL
);
CREATE TABLE public.tidemark_events (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    job_id bigint,
    shard_id bigint,
    portfolio text,
    event text NOT NULL,
    who text NOT NULL,
    why text NOT NULL
);
CREATE SEQUENCE public.tidemark_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_events_id_seq OWNED BY public.tidemark_events.id;
CREATE TABLE public.tidemark_job_histograms (
    job_id bigint NOT NULL,
    counts jsonb NOT NULL
);
ALTER TABLE ONLY public.tidemark_job_histograms ALTER COLUMN counts SET STORAGE EXTERNAL;
CREATE SEQUENCE public.tidemark_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_jobs_id_seq OWNED BY public.tidemark_jobs.id;
CREATE TABLE public.tidemark_model_versions (
    version text NOT NULL,
    portfolio text NOT NULL,
    state text NOT NULL,
    job_id bigint,
    parent_version text,
    definition text NOT NULL,
    metrics jsonb NOT NULL,
    reference jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    learned_until jsonb,
    CONSTRAINT ck_tidemark_model_versions_state_known CHECK ((state = ANY (ARRAY['candidate'::text, 'challenger'::text, 'champion'::text, 'retired'::text, 'refused'::text])))
);
CREATE TABLE public.tidemark_online_requests (
    id text NOT NULL,
    portfolio text NOT NULL,
    records text,
    answer text,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_online_requests_records_go_with_the_answer CHECK (((records IS NULL) OR (answer IS NULL)))
);
CREATE TABLE public.tidemark_outcomes (
    id bigint NOT NULL,
    portfolio text NOT NULL,
    record_key text NOT NULL,
    outcome smallint NOT NULL,
    outcome_date text NOT NULL,
    scored_job_id bigint,
    loaded_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_outcomes_outcome_known CHECK ((outcome = ANY (ARRAY[0, 1])))
);
CREATE SEQUENCE public.tidemark_outcomes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_outcomes_id_seq OWNED BY public.tidemark_outcomes.id;
CREATE TABLE public.tidemark_portfolios (
    name text NOT NULL,
    title text NOT NULL,
    definition text NOT NULL,
    fingerprint text NOT NULL,
    running_shards integer,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_portfolios_running_shards_positive CHECK (((running_shards IS NULL) OR (running_shards > 0)))
);
CREATE TABLE public.tidemark_processes (
    name text NOT NULL,
    kind text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    memory_bytes bigint
);
CREATE TABLE public.tidemark_rejects (
    job_id bigint NOT NULL,
    shard_id bigint NOT NULL,
    ordinal integer NOT NULL,
    token integer NOT NULL,
    record_key text,
    field text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL
);
CREATE TABLE public.tidemark_removals (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    cause text NOT NULL,
    scores integer NOT NULL,
    rejects integer NOT NULL,
    digest text,
    at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_removals_cause_known CHECK ((cause = ANY (ARRAY['erasure'::text, 'retention'::text])))
);
CREATE SEQUENCE public.tidemark_removals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_removals_id_seq OWNED BY public.tidemark_removals.id;
CREATE TABLE public.tidemark_retraining (
    portfolio text NOT NULL,
    is_held boolean NOT NULL,
    failures integer NOT NULL,
    last_job_id bigint,
    last_night_id bigint,
    tried_until jsonb
);
CREATE TABLE public.tidemark_schedule_runs (
    id bigint NOT NULL,
    schedule_id bigint NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    job_id bigint,
    cause text,
    detail text,
    is_by_hand boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_schedule_runs_cause_known CHECK ((cause = ANY (ARRAY['downtime'::text, 'no_champion'::text, 'previous_unfinished'::text, 'paused'::text, 'removed'::text, 'unreadable'::text]))),
    CONSTRAINT ck_tidemark_schedule_runs_state_known CHECK ((state = ANY (ARRAY['submitted'::text, 'missed'::text, 'skipped'::text]))),
    CONSTRAINT ck_tidemark_schedule_runs_submitted_has_a_job CHECK (((state = 'submitted'::text) = (job_id IS NOT NULL))),
    CONSTRAINT ck_tidemark_schedule_runs_without_a_job_has_a_cause CHECK (((state = 'submitted'::text) = (cause IS NULL)))
);
CREATE SEQUENCE public.tidemark_schedule_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_schedule_runs_id_seq OWNED BY public.tidemark_schedule_runs.id;
CREATE TABLE public.tidemark_schedules (
    id bigint NOT NULL,
    portfolio text NOT NULL,
    cron text NOT NULL,
    time_zone text NOT NULL,
    catch_up text NOT NULL,
    overlap text NOT NULL,
    state text NOT NULL,
    next_due_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_tidemark_schedules_active_has_a_due_time CHECK (((state = 'active'::text) = (next_due_at IS NOT NULL))),
    CONSTRAINT ck_tidemark_schedules_catch_up_known CHECK ((catch_up = ANY (ARRAY['latest'::text, 'all'::text, 'none'::text]))),
    CONSTRAINT ck_tidemark_schedules_overlap_known CHECK ((overlap = ANY (ARRAY['skip'::text, 'queue'::text]))),
    CONSTRAINT ck_tidemark_schedules_state_known CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'removed'::text])))
);
CREATE SEQUENCE public.tidemark_schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_schedules_id_seq OWNED BY public.tidemark_schedules.id;
CREATE TABLE public.tidemark_schema_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.tidemark_shadow_histograms (
    shard_id bigint NOT NULL,
    job_id bigint NOT NULL,
    model_version text NOT NULL,
    points jsonb NOT NULL,
    records bigint NOT NULL,
    largest_difference double precision NOT NULL
);
CREATE TABLE public.tidemark_shard_histograms (
    shard_id bigint NOT NULL,
    job_id bigint NOT NULL,
    points jsonb NOT NULL,
    unscorable bigint NOT NULL,
    fields jsonb,
    segments jsonb,
    migration jsonb,
    canary jsonb,
    keys_hash text,
    bands bytea
);
ALTER TABLE ONLY public.tidemark_shard_histograms ALTER COLUMN bands SET STORAGE EXTERNAL;
CREATE TABLE public.tidemark_shards (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    ordinal integer NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    key_after text,
    key_upto text,
    holds_missing_keys boolean NOT NULL,
    expected bigint NOT NULL,
    state text NOT NULL,
    token integer NOT NULL,
    attempt integer NOT NULL,
    worker text,
    lease_until timestamp with time zone,
    heartbeat_at timestamp with time zone,
    available_at timestamp with time zone NOT NULL,
    hinted_at timestamp with time zone,
    read_rows bigint NOT NULL,
    scored bigint NOT NULL,
    rejected bigint NOT NULL,
    digest text,
    data_digest text,
    error text,
    finished_at timestamp with time zone,
    CONSTRAINT ck_tidemark_shards_every_record_accounted_for CHECK (((state <> 'done'::text) OR (read_rows = (scored + rejected)))),
    CONSTRAINT ck_tidemark_shards_running_has_a_worker CHECK (((state <> 'running'::text) OR (worker IS NOT NULL))),
    CONSTRAINT ck_tidemark_shards_state_known CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text, 'split'::text])))
);
CREATE SEQUENCE public.tidemark_shards_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_shards_id_seq OWNED BY public.tidemark_shards.id;
CREATE TABLE public.tidemark_vintages (
    job_id bigint NOT NULL,
    portfolio text NOT NULL,
    model_version text NOT NULL,
    outcomes bigint NOT NULL,
    bad bigint NOT NULL,
    figures jsonb NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE public.tidemark_webhook_deliveries (
    id bigint NOT NULL,
    webhook_id bigint NOT NULL,
    event_id bigint NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    status integer,
    error text,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_tidemark_webhook_deliveries_state_known CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'failed'::text])))
);
CREATE SEQUENCE public.tidemark_webhook_deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_webhook_deliveries_id_seq OWNED BY public.tidemark_webhook_deliveries.id;
CREATE TABLE public.tidemark_webhooks (
    id bigint NOT NULL,
    url text NOT NULL,
    secret text NOT NULL,
    events jsonb NOT NULL,
    portfolio text,
    is_active boolean NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.tidemark_webhooks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tidemark_webhooks_id_seq OWNED BY public.tidemark_webhooks.id;
ALTER TABLE ONLY public.tidemark_api_keys ALTER COLUMN id SET DEFAULT nextval('public.tidemark_api_keys_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_decisions ALTER COLUMN id SET DEFAULT nextval('public.tidemark_decisions_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_drift_reports ALTER COLUMN id SET DEFAULT nextval('public.tidemark_drift_reports_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_events ALTER COLUMN id SET DEFAULT nextval('public.tidemark_events_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_jobs ALTER COLUMN id SET DEFAULT nextval('public.tidemark_jobs_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_outcomes ALTER COLUMN id SET DEFAULT nextval('public.tidemark_outcomes_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_removals ALTER COLUMN id SET DEFAULT nextval('public.tidemark_removals_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_schedule_runs ALTER COLUMN id SET DEFAULT nextval('public.tidemark_schedule_runs_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_schedules ALTER COLUMN id SET DEFAULT nextval('public.tidemark_schedules_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_shards ALTER COLUMN id SET DEFAULT nextval('public.tidemark_shards_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_webhook_deliveries ALTER COLUMN id SET DEFAULT nextval('public.tidemark_webhook_deliveries_id_seq'::regclass);
ALTER TABLE ONLY public.tidemark_webhooks ALTER COLUMN id SET DEFAULT nextval('public.tidemark_webhooks_id_seq'::regclass);
INSERT INTO public.book VALUES (1, 1, 0, 'red', 1, NULL);
INSERT INTO public.book VALUES (2, 0, 1, 'blue', 2, NULL);
INSERT INTO public.book VALUES (3, 0, 2, 'red', 3, NULL);
INSERT INTO public.book VALUES (4, 0, 3, 'blue', 4, NULL);
INSERT INTO public.book VALUES (5, 0, 4, 'red', 5, NULL);
INSERT INTO public.book VALUES (6, 1, 5, 'blue', 6, NULL);
INSERT INTO public.book VALUES (7, 0, 6, 'red', 7, NULL);
INSERT INTO public.book VALUES (8, 0, 7, 'blue', 8, NULL);
INSERT INTO public.book VALUES (9, 0, 8, 'red', 9, NULL);
INSERT INTO public.book VALUES (10, 0, 9, 'blue', 10, NULL);
INSERT INTO public.book VALUES (11, 1, 10, 'red', 11, NULL);
INSERT INTO public.book VALUES (12, 0, 11, 'blue', 12, NULL);
INSERT INTO public.book VALUES (13, 0, 12, 'red', 13, NULL);
INSERT INTO public.book VALUES (14, 0, 13, 'blue', 14, NULL);
INSERT INTO public.book VALUES (15, 0, 14, 'red', 15, NULL);
INSERT INTO public.book VALUES (16, 1, 15, 'blue', 16, NULL);
INSERT INTO public.book VALUES (17, 0, 16, 'red', 17, NULL);
INSERT INTO public.book VALUES (18, 0, 17, 'blue', 18, NULL);
INSERT INTO public.book VALUES (19, 0, 18, 'red', 19, NULL);
INSERT INTO public.book VALUES (20, 0, 19, 'blue', 20, NULL);
INSERT INTO public.book VALUES (21, 1, 20, 'red', 21, NULL);
INSERT INTO public.book VALUES (22, 0, 21, 'blue', 22, NULL);
INSERT INTO public.book VALUES (23, 0, 22, 'red', 23, NULL);
INSERT INTO public.book VALUES (24, 0, 23, 'blue', 24, NULL);
INSERT INTO public.book VALUES (25, 0, 24, 'red', 25, NULL);
INSERT INTO public.book VALUES (26, 1, 25, 'blue', 26, NULL);
INSERT INTO public.book VALUES (27, 0, 26, 'red', 27, NULL);
INSERT INTO public.book VALUES (28, 0, 27, 'blue', 28, NULL);
INSERT INTO public.book VALUES (29, 0, 28, 'red', 29, NULL);
INSERT INTO public.book VALUES (30, 0, 29, 'blue', 30, NULL);
INSERT INTO public.tidemark_api_keys VALUES (1, '6a3d08f364fd', 'old key', 'fe71050d457af881bd89fdbad9258ce036b7aa646b8918a8d1e46b115e758c40', 'admin', NULL, 'test', '2026-11-30 05:44:00.940737+00', NULL, NULL, NULL);
INSERT INTO public.tidemark_champions VALUES ('book', 'm1', 1, '2026-11-30 05:43:59.497686+00');
INSERT INTO public.tidemark_decisions VALUES (1, 'book', 'm1', NULL, true, 'test', '{}', 'test', NULL, '2026-11-30 05:43:59.505893+00', 'gate');
INSERT INTO public.tidemark_drift_reports VALUES (1, 'book', 1, 'm1', 'stable', '{"psi_corrected": 0.01}', '2026-11-30 05:44:00.540268+00', NULL, NULL, NULL);
INSERT INTO public.tidemark_events VALUES (1, '2026-11-30 05:43:59.432318+00', NULL, NULL, 'book', 'portfolio.added', 'test', 'fingerprint 993b90b90a5f');
INSERT INTO public.tidemark_events VALUES (2, '2026-11-30 05:43:59.487038+00', NULL, NULL, 'book', 'records.loaded', 'test', '30 records, 0 replaced');
INSERT INTO public.tidemark_events VALUES (3, '2026-11-30 05:43:59.512267+00', NULL, NULL, 'book', 'model.promoted', 'test', 'test');
INSERT INTO public.tidemark_events VALUES (4, '2026-11-30 05:43:59.549105+00', 1, NULL, NULL, 'job.submitted', 'test', 'scoring');
INSERT INTO public.tidemark_events VALUES (5, '2026-11-30 05:43:59.902647+00', 1, NULL, NULL, 'job.planned', 'scheduler', '30 records, 3 shards');
INSERT INTO public.tidemark_events VALUES (6, '2026-11-30 05:43:59.952865+00', 1, 1, NULL, 'shard.claimed', 'w1', 'attempt 1, token 1');
INSERT INTO public.tidemark_events VALUES (7, '2026-11-30 05:44:00.238714+00', 1, 1, NULL, 'shard.done', 'w1', '9 scored, 1 rejected');
INSERT INTO public.tidemark_events VALUES (8, '2026-11-30 05:44:00.259874+00', 1, 2, NULL, 'shard.claimed', 'w1', 'attempt 1, token 1');
INSERT INTO public.tidemark_events VALUES (9, '2026-11-30 05:44:00.455844+00', 1, 2, NULL, 'shard.done', 'w1', '10 scored, 0 rejected');
INSERT INTO public.tidemark_events VALUES (10, '2026-11-30 05:44:00.474045+00', 1, 3, NULL, 'shard.claimed', 'w1', 'attempt 1, token 1');
INSERT INTO public.tidemark_events VALUES (11, '2026-11-30 05:44:00.504567+00', 1, 3, NULL, 'shard.done', 'w1', '10 scored, 0 rejected');
INSERT INTO public.tidemark_events VALUES (12, '2026-11-30 05:44:00.523162+00', 1, NULL, NULL, 'job.done', 'tidemark', '');
INSERT INTO public.tidemark_events VALUES (13, '2026-11-30 05:44:00.530542+00', 2, NULL, NULL, 'job.submitted', 'tidemark', 'monitoring of job 1');
INSERT INTO public.tidemark_events VALUES (14, '2026-11-30 05:44:00.54066+00', 1, NULL, 'book', 'drift.stable', 'monitor', '');
INSERT INTO public.tidemark_events VALUES (15, '2026-11-30 05:44:00.556054+00', 3, NULL, NULL, 'job.submitted', 'test', 'scoring');
INSERT INTO public.tidemark_events VALUES (16, '2026-11-30 05:44:00.602409+00', 3, NULL, NULL, 'job.planned', 'scheduler', '30 records, 3 shards');
INSERT INTO public.tidemark_events VALUES (17, '2026-11-30 05:44:00.628716+00', 3, 4, NULL, 'shard.claimed', 'w1', 'attempt 1, token 1');
INSERT INTO public.tidemark_events VALUES (18, '2026-11-30 05:44:00.704503+00', 3, 4, NULL, 'shard.done', 'w1', '10 scored, 0 rejected');
INSERT INTO public.tidemark_events VALUES (19, '2026-11-30 05:44:00.756113+00', 3, 5, NULL, 'shard.claimed', 'dead', 'attempt 1, token 1');
INSERT INTO public.tidemark_events VALUES (20, '2026-11-30 05:44:00.777543+00', 4, NULL, NULL, 'job.submitted', 'test', 'scoring');
INSERT INTO public.tidemark_events VALUES (21, '2026-11-30 05:44:00.803253+00', 5, NULL, NULL, 'job.submitted', 'test', 'training');
INSERT INTO public.tidemark_events VALUES (22, '2026-11-30 05:44:00.812045+00', 6, NULL, NULL, 'job.submitted', 'test', 'fine_tuning');
INSERT INTO public.tidemark_events VALUES (23, '2026-11-30 05:44:00.82659+00', 7, NULL, NULL, 'job.submitted', 'test', 'monitoring');
INSERT INTO public.tidemark_events VALUES (24, '2026-11-30 05:44:00.912771+00', NULL, NULL, 'book', 'outcomes.loaded', 'test', '2 outcomes, 0 of them corrected');
INSERT INTO public.tidemark_events VALUES (25, '2026-11-30 05:44:00.92956+00', 8, NULL, NULL, 'job.submitted', 'test', 'monitoring');
INSERT INTO public.tidemark_events VALUES (26, '2026-11-30 05:44:00.944485+00', NULL, NULL, NULL, 'key.created', 'test', 'key 6a3d08f364fd (old key)');
INSERT INTO public.tidemark_events VALUES (27, '2026-11-30 05:44:00.964703+00', NULL, NULL, NULL, 'webhook.added', 'test', 'webhook 1');
INSERT INTO public.tidemark_job_histograms VALUES (1, '{"canary": null, "fields": {}, "points": {"500": 29}, "segments": {}, "migration": {}, "unscorable": 1}');
INSERT INTO public.tidemark_jobs VALUES (1, 'scoring', 'book', 'done', 100, NULL, '78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', NULL, 'm1', 30, 29, 1, 3, 0, 0, '0000000000000000000000000000000000000000000000000000000000000003', '0000000000000000000000000000000000000000000000000000000000000006', NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:43:59.545515+00', '2026-11-30 05:43:59.952281+00', '2026-11-30 05:44:00.521281+00', NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (2, 'monitoring', 'book', 'queued', 100, NULL, '889f68183b766ac9daeb61afdcc85e15f96d2dd06466817db9639afa930ddac3', 'tidemark', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', 1, 'm1', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.529571+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (7, 'monitoring', 'book', 'queued', 100, NULL, '55fd8e14286fafc15d56a897214a3a24f6955f51087298fad59c07db8e2bd739', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.824087+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (3, 'scoring', 'book', 'running', 100, NULL, '78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', NULL, 'm1', 30, 10, 0, 3, 2, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.548678+00', '2026-11-30 05:44:00.626185+00', NULL, NULL, 1);
INSERT INTO public.tidemark_jobs VALUES (4, 'scoring', 'book', 'queued', 100, 'night 7', '78673ef689404d6cb84f3eeb7c6eaf901522b38f2682c4b82f2fc7fe7fe69455', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', NULL, 'm1', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.773547+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (5, 'training', 'book', 'queued', 100, NULL, '3607f29760e6a7b54fd9dc554b1b5e18f1263b32b64bf8ff13c8625b587693d8', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{"epochs": 1}', NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.799438+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (6, 'fine_tuning', 'book', 'queued', 100, NULL, 'f3324c4e948d632cee59d37cb7a9552665057e2ce5ef044af4e6ceb066059137', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.808361+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_jobs VALUES (8, 'monitoring', 'book', 'queued', 100, NULL, 'c4569eed53bf8737454bfa7815455d3825c3d024a991758b582d3f3b7c5f4409', 'test', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{"task": "vintages"}', NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 05:44:00.920755+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_model_versions VALUES ('m1', 'book', 'champion', NULL, NULL, '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":0.01,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '{}', '{"points": {"500": 300, "520": 300}, "unscorable": 0}', '2026-11-30 05:43:59.494753+00', NULL);
INSERT INTO public.tidemark_outcomes VALUES (1, 'book', '1', 0, '2026-02-01', NULL, '2026-11-30 05:44:00.904536+00');
INSERT INTO public.tidemark_outcomes VALUES (2, 'book', '2', 1, '2026-02-01', NULL, '2026-11-30 05:44:00.905143+00');
INSERT INTO public.tidemark_portfolios VALUES ('book', 'A book', '{"as_of":null,"entity":null,"fields":[{"kind":"numeric","missing_codes":[],"name":"amount","reason":null},{"kind":"categorical","missing_codes":[],"name":"colour","reason":null}],"histories":[],"key":"id","monitoring":{"calendar":[],"canary_tolerance":0.0,"drifted_psi":0.25,"largest_missing_rise":0.1,"largest_unseen_rise":0.1,"least_records":200,"quiet_years":3.0,"reference":"training","time_zone":"UTC","watch_psi":0.1},"name":"book","privacy":{"hashed_keys":false,"rejects_days":null,"scores_days":null},"reasons_reference":"population","reject_budget":1.0,"retraining":{"affected_nights":"mark","cool_down_nights":7,"cut_off":null,"gate":{"confidence":0.95,"largest_auc_loss":0.005,"largest_calibration_slope":1.1,"largest_points_psi":0.1,"least_bad":100,"least_calibration_slope":0.9,"least_speed":0.5},"least_bad_outcomes":300,"monthly_cap":4,"probation_nights":5,"records":null,"shadow_nights":0,"when_drifted":"fine_tune","when_outcomes_differ":"fine_tune","without_outcomes":"alert"},"running_shards":null,"score":{"odds":50.0,"points":600.0,"points_to_double":20.0},"segments":[],"source":"book","target":"bad","title":"A book"}', '993b90b90a5f860938755874fd9b41c79e6a021ba7b998e20ce5f0884b14b85f', NULL, '2026-11-30 05:43:59.430224+00', '2026-11-30 05:43:59.430225+00');
INSERT INTO public.tidemark_rejects VALUES (1, 1, 0, 1, '1', 'amount', 'not_a_number', 'expected a number');
INSERT INTO public.tidemark_schema_version VALUES ('0010');
INSERT INTO public.tidemark_scores VALUES (1, '2', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '3', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '4', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '5', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '6', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '7', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '8', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '9', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '10', 1, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '11', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '12', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '13', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '14', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '15', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '16', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '17', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '18', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '19', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '20', 2, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '21', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '22', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '23', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '24', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '25', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '26', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '27', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '28', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '29', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (1, '30', 3, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '1', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '2', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '3', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '4', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '5', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '6', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '7', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '8', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '9', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_scores VALUES (3, '10', 4, 1, 0.25, 500, 'D', NULL);
INSERT INTO public.tidemark_shard_histograms VALUES (1, 1, '{"500": 9}', 1, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_shard_histograms VALUES (2, 1, '{"500": 10}', 0, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_shard_histograms VALUES (3, 1, '{"500": 10}', 0, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_shard_histograms VALUES (4, 3, '{"500": 10}', 0, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_shards VALUES (1, 1, 0, 'scoring', 100, NULL, '"10"', false, 10, 'done', 1, 1, 'w1', NULL, '2026-11-30 05:43:59.949237+00', '2026-11-30 05:43:59.900842+00', NULL, 10, 9, 1, '1', '2', NULL, '2026-11-30 05:44:00.220763+00');
INSERT INTO public.tidemark_shards VALUES (2, 1, 1, 'scoring', 100, '"10"', '"20"', false, 10, 'done', 1, 1, 'w1', NULL, '2026-11-30 05:44:00.257946+00', '2026-11-30 05:43:59.901673+00', NULL, 10, 10, 0, '1', '2', NULL, '2026-11-30 05:44:00.445041+00');
INSERT INTO public.tidemark_shards VALUES (3, 1, 2, 'scoring', 100, '"20"', '"30"', false, 10, 'done', 1, 1, 'w1', NULL, '2026-11-30 05:44:00.469025+00', '2026-11-30 05:43:59.901901+00', NULL, 10, 10, 0, '1', '2', NULL, '2026-11-30 05:44:00.493448+00');
INSERT INTO public.tidemark_shards VALUES (6, 3, 2, 'scoring', 100, '"20"', '"30"', false, 10, 'waiting', 0, 0, NULL, NULL, NULL, '2026-11-30 05:44:00.601259+00', NULL, 0, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_shards VALUES (4, 3, 0, 'scoring', 100, NULL, '"10"', false, 10, 'done', 1, 1, 'w1', NULL, '2026-11-30 05:44:00.619007+00', '2026-11-30 05:44:00.60093+00', NULL, 10, 10, 0, '1', '2', NULL, '2026-11-30 05:44:00.650144+00');
INSERT INTO public.tidemark_shards VALUES (5, 3, 1, 'scoring', 100, '"10"', '"20"', false, 10, 'running', 1, 1, 'dead', '2026-11-30 05:45:00.733508+00', '2026-11-30 05:44:00.733508+00', '2026-11-30 05:44:00.601136+00', NULL, 0, 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.tidemark_webhooks VALUES (1, 'https://receiver.example/hook', 'whsec_Qe3XNKOhu4gL7E6ItxWNdBT40ROFI/DBcptGF37W/NY=', '["job.*"]', NULL, true, 'test', '2026-11-30 05:44:00.960081+00');
SELECT pg_catalog.setval('public.tidemark_api_keys_id_seq', 1, true);
SELECT pg_catalog.setval('public.tidemark_decisions_id_seq', 1, true);
SELECT pg_catalog.setval('public.tidemark_drift_reports_id_seq', 1, true);
SELECT pg_catalog.setval('public.tidemark_events_id_seq', 27, true);
SELECT pg_catalog.setval('public.tidemark_jobs_id_seq', 8, true);
SELECT pg_catalog.setval('public.tidemark_outcomes_id_seq', 2, true);
SELECT pg_catalog.setval('public.tidemark_removals_id_seq', 1, false);
SELECT pg_catalog.setval('public.tidemark_schedule_runs_id_seq', 1, false);
SELECT pg_catalog.setval('public.tidemark_schedules_id_seq', 1, false);
SELECT pg_catalog.setval('public.tidemark_shards_id_seq', 6, true);
SELECT pg_catalog.setval('public.tidemark_webhook_deliveries_id_seq', 1, false);
SELECT pg_catalog.setval('public.tidemark_webhooks_id_seq', 1, true);
ALTER TABLE ONLY public.tidemark_alarm_limits
    ADD CONSTRAINT pk_tidemark_alarm_limits PRIMARY KEY (portfolio, model_version);
ALTER TABLE ONLY public.tidemark_api_keys
    ADD CONSTRAINT pk_tidemark_api_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_champions
    ADD CONSTRAINT pk_tidemark_champions PRIMARY KEY (portfolio);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT pk_tidemark_decisions PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_drift_reports
    ADD CONSTRAINT pk_tidemark_drift_reports PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_ended_sessions
    ADD CONSTRAINT pk_tidemark_ended_sessions PRIMARY KEY (session_id);
ALTER TABLE ONLY public.tidemark_events
    ADD CONSTRAINT pk_tidemark_events PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_job_histograms
    ADD CONSTRAINT pk_tidemark_job_histograms PRIMARY KEY (job_id);
ALTER TABLE ONLY public.tidemark_jobs
    ADD CONSTRAINT pk_tidemark_jobs PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_model_versions
    ADD CONSTRAINT pk_tidemark_model_versions PRIMARY KEY (version);
ALTER TABLE ONLY public.tidemark_online_requests
    ADD CONSTRAINT pk_tidemark_online_requests PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_outcomes
    ADD CONSTRAINT pk_tidemark_outcomes PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_portfolios
    ADD CONSTRAINT pk_tidemark_portfolios PRIMARY KEY (name);
ALTER TABLE ONLY public.tidemark_processes
    ADD CONSTRAINT pk_tidemark_processes PRIMARY KEY (name);
ALTER TABLE ONLY public.tidemark_rejects
    ADD CONSTRAINT pk_tidemark_rejects PRIMARY KEY (job_id, shard_id, ordinal);
ALTER TABLE ONLY public.tidemark_removals
    ADD CONSTRAINT pk_tidemark_removals PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_retraining
    ADD CONSTRAINT pk_tidemark_retraining PRIMARY KEY (portfolio);
ALTER TABLE ONLY public.tidemark_schedule_runs
    ADD CONSTRAINT pk_tidemark_schedule_runs PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_schedules
    ADD CONSTRAINT pk_tidemark_schedules PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_scores
    ADD CONSTRAINT pk_tidemark_scores PRIMARY KEY (job_id, record_key);
ALTER TABLE ONLY public.tidemark_shadow_histograms
    ADD CONSTRAINT pk_tidemark_shadow_histograms PRIMARY KEY (shard_id);
ALTER TABLE ONLY public.tidemark_shard_histograms
    ADD CONSTRAINT pk_tidemark_shard_histograms PRIMARY KEY (shard_id);
ALTER TABLE ONLY public.tidemark_shards
    ADD CONSTRAINT pk_tidemark_shards PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_vintages
    ADD CONSTRAINT pk_tidemark_vintages PRIMARY KEY (job_id);
ALTER TABLE ONLY public.tidemark_webhook_deliveries
    ADD CONSTRAINT pk_tidemark_webhook_deliveries PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_webhooks
    ADD CONSTRAINT pk_tidemark_webhooks PRIMARY KEY (id);
ALTER TABLE ONLY public.tidemark_schema_version
    ADD CONSTRAINT tidemark_schema_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.tidemark_api_keys
    ADD CONSTRAINT uq_tidemark_api_keys_public_id UNIQUE (public_id);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT uq_tidemark_decisions_job_id UNIQUE (job_id);
ALTER TABLE ONLY public.tidemark_drift_reports
    ADD CONSTRAINT uq_tidemark_drift_reports_portfolio_job_id UNIQUE (portfolio, job_id);
ALTER TABLE ONLY public.tidemark_jobs
    ADD CONSTRAINT uq_tidemark_jobs_idempotency_key UNIQUE (idempotency_key);
ALTER TABLE ONLY public.tidemark_jobs
    ADD CONSTRAINT uq_tidemark_jobs_kind_subject_job_id UNIQUE (kind, subject_job_id);
ALTER TABLE ONLY public.tidemark_outcomes
    ADD CONSTRAINT uq_tidemark_outcomes_portfolio_record_key_outcome_date UNIQUE (portfolio, record_key, outcome_date);
ALTER TABLE ONLY public.tidemark_schedule_runs
    ADD CONSTRAINT uq_tidemark_schedule_runs_job_id UNIQUE (job_id);
ALTER TABLE ONLY public.tidemark_schedule_runs
    ADD CONSTRAINT uq_tidemark_schedule_runs_schedule_id_due_at UNIQUE (schedule_id, due_at);
ALTER TABLE ONLY public.tidemark_shards
    ADD CONSTRAINT uq_tidemark_shards_job_id_ordinal UNIQUE (job_id, ordinal);
ALTER TABLE ONLY public.tidemark_webhook_deliveries
    ADD CONSTRAINT uq_tidemark_webhook_deliveries_webhook_id_event_id UNIQUE (webhook_id, event_id);
CREATE INDEX ix_book_id ON public.book USING btree (id);
CREATE INDEX ix_tidemark_events_job_id_id ON public.tidemark_events USING btree (job_id, id);
CREATE INDEX ix_tidemark_events_lost_leases ON public.tidemark_events USING btree (id) WHERE (event = 'shard.taken_back'::text);
CREATE INDEX ix_tidemark_events_portfolio ON public.tidemark_events USING btree (portfolio, id) WHERE (portfolio IS NOT NULL);
CREATE INDEX ix_tidemark_jobs_open ON public.tidemark_jobs USING btree (state, id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX ix_tidemark_jobs_portfolio_id ON public.tidemark_jobs USING btree (portfolio, id);
CREATE INDEX ix_tidemark_model_versions_portfolio_created_at ON public.tidemark_model_versions USING btree (portfolio, created_at);
CREATE INDEX ix_tidemark_online_requests_expires_at ON public.tidemark_online_requests USING btree (expires_at);
CREATE INDEX ix_tidemark_outcomes_portfolio_id ON public.tidemark_outcomes USING btree (portfolio, id);
CREATE INDEX ix_tidemark_outcomes_scored_job_id ON public.tidemark_outcomes USING btree (scored_job_id);
CREATE INDEX ix_tidemark_rejects_job_id_record_key ON public.tidemark_rejects USING btree (job_id, record_key);
CREATE INDEX ix_tidemark_removals_job_id ON public.tidemark_removals USING btree (job_id);
CREATE INDEX ix_tidemark_shadow_histograms_job_id ON public.tidemark_shadow_histograms USING btree (job_id);
CREATE INDEX ix_tidemark_shard_histograms_job_id ON public.tidemark_shard_histograms USING btree (job_id);
CREATE INDEX ix_tidemark_shards_claim ON public.tidemark_shards USING btree (queue, state, priority, job_id, ordinal) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));
CREATE INDEX ix_tidemark_vintages_portfolio_job_id ON public.tidemark_vintages USING btree (portfolio, job_id);
CREATE INDEX ix_tidemark_webhook_deliveries_due ON public.tidemark_webhook_deliveries USING btree (due_at) WHERE (state = 'waiting'::text);
CREATE UNIQUE INDEX uq_tidemark_jobs_fine_tuning_in_flight ON public.tidemark_jobs USING btree (portfolio) WHERE ((kind = 'fine_tuning'::text) AND (state = ANY (ARRAY['queued'::text, 'running'::text, 'paused'::text])));
CREATE UNIQUE INDEX uq_tidemark_schedules_kept ON public.tidemark_schedules USING btree (portfolio, cron, time_zone) WHERE (state <> 'removed'::text);
ALTER TABLE ONLY public.tidemark_alarm_limits
    ADD CONSTRAINT fk_tidemark_alarm_limits_model_version FOREIGN KEY (model_version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_alarm_limits
    ADD CONSTRAINT fk_tidemark_alarm_limits_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_champions
    ADD CONSTRAINT fk_tidemark_champions_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_champions
    ADD CONSTRAINT fk_tidemark_champions_version FOREIGN KEY (version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT fk_tidemark_decisions_against_version FOREIGN KEY (against_version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT fk_tidemark_decisions_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT fk_tidemark_decisions_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_decisions
    ADD CONSTRAINT fk_tidemark_decisions_version FOREIGN KEY (version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_drift_reports
    ADD CONSTRAINT fk_tidemark_drift_reports_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_drift_reports
    ADD CONSTRAINT fk_tidemark_drift_reports_model_version FOREIGN KEY (model_version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_drift_reports
    ADD CONSTRAINT fk_tidemark_drift_reports_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_events
    ADD CONSTRAINT fk_tidemark_events_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_job_histograms
    ADD CONSTRAINT fk_tidemark_job_histograms_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_jobs
    ADD CONSTRAINT fk_tidemark_jobs_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_jobs
    ADD CONSTRAINT fk_tidemark_jobs_subject_job_id FOREIGN KEY (subject_job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_model_versions
    ADD CONSTRAINT fk_tidemark_model_versions_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_model_versions
    ADD CONSTRAINT fk_tidemark_model_versions_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_online_requests
    ADD CONSTRAINT fk_tidemark_online_requests_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_outcomes
    ADD CONSTRAINT fk_tidemark_outcomes_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_outcomes
    ADD CONSTRAINT fk_tidemark_outcomes_scored_job_id FOREIGN KEY (scored_job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_rejects
    ADD CONSTRAINT fk_tidemark_rejects_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_removals
    ADD CONSTRAINT fk_tidemark_removals_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_retraining
    ADD CONSTRAINT fk_tidemark_retraining_last_job_id FOREIGN KEY (last_job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_retraining
    ADD CONSTRAINT fk_tidemark_retraining_last_night_id FOREIGN KEY (last_night_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_retraining
    ADD CONSTRAINT fk_tidemark_retraining_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_schedule_runs
    ADD CONSTRAINT fk_tidemark_schedule_runs_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_schedule_runs
    ADD CONSTRAINT fk_tidemark_schedule_runs_schedule_id FOREIGN KEY (schedule_id) REFERENCES public.tidemark_schedules(id);
ALTER TABLE ONLY public.tidemark_schedules
    ADD CONSTRAINT fk_tidemark_schedules_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_shadow_histograms
    ADD CONSTRAINT fk_tidemark_shadow_histograms_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_shadow_histograms
    ADD CONSTRAINT fk_tidemark_shadow_histograms_model_version FOREIGN KEY (model_version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_shadow_histograms
    ADD CONSTRAINT fk_tidemark_shadow_histograms_shard_id FOREIGN KEY (shard_id) REFERENCES public.tidemark_shards(id);
ALTER TABLE ONLY public.tidemark_shard_histograms
    ADD CONSTRAINT fk_tidemark_shard_histograms_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_shard_histograms
    ADD CONSTRAINT fk_tidemark_shard_histograms_shard_id FOREIGN KEY (shard_id) REFERENCES public.tidemark_shards(id);
ALTER TABLE ONLY public.tidemark_shards
    ADD CONSTRAINT fk_tidemark_shards_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_vintages
    ADD CONSTRAINT fk_tidemark_vintages_job_id FOREIGN KEY (job_id) REFERENCES public.tidemark_jobs(id);
ALTER TABLE ONLY public.tidemark_vintages
    ADD CONSTRAINT fk_tidemark_vintages_model_version FOREIGN KEY (model_version) REFERENCES public.tidemark_model_versions(version);
ALTER TABLE ONLY public.tidemark_vintages
    ADD CONSTRAINT fk_tidemark_vintages_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
ALTER TABLE ONLY public.tidemark_webhook_deliveries
    ADD CONSTRAINT fk_tidemark_webhook_deliveries_event_id FOREIGN KEY (event_id) REFERENCES public.tidemark_events(id);
ALTER TABLE ONLY public.tidemark_webhook_deliveries
    ADD CONSTRAINT fk_tidemark_webhook_deliveries_webhook_id FOREIGN KEY (webhook_id) REFERENCES public.tidemark_webhooks(id);
ALTER TABLE ONLY public.tidemark_webhooks
    ADD CONSTRAINT fk_tidemark_webhooks_portfolio FOREIGN KEY (portfolio) REFERENCES public.tidemark_portfolios(name);
