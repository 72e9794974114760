-- Instants are microseconds since 1970 UTC, durations nanoseconds; an instant of 0 is none. Truth values are 0 and 1.
-- A column called …_key holds the folded form of a name or resource id, by which it is unique and compared.

create table tenants (
    id         {text} not null,
    name       {text} not null,
    name_key   {text} not null,
    created_at bigint not null,
    constraint tenants_pk primary key (id),
    constraint tenants_name unique (name_key)
){rowless};

create table subscriptions (
    id         {text} not null,
    tenant     {text} not null,
    name       {text} not null,
    name_key   {text} not null,
    created_at bigint not null,
    constraint subscriptions_pk primary key (id),
    constraint subscriptions_name unique (tenant, name_key),
    constraint subscriptions_tenant foreign key (tenant) references tenants (id)
){rowless};

create table resource_groups (
    subscription {text} not null,
    name         {text} not null,
    name_key     {text} not null,
    location     {text} not null,
    created_at   bigint not null,
    constraint resource_groups_pk primary key (subscription, name_key),
    constraint resource_groups_subscription foreign key (subscription) references subscriptions (id)
){rowless};

create table principals (
    id           {text} not null,
    tenant       {text} not null,
    kind         {text} not null,
    name         {text} not null,
    name_key     {text} not null,
    display_name {text} not null,
    email        {text} not null,
    disabled     bigint not null,
    created_at   bigint not null,
    revision     bigint not null,
    constraint principals_pk primary key (id),
    constraint principals_name unique (tenant, name_key),
    constraint principals_tenant foreign key (tenant) references tenants (id)
){rowless};

create index principals_by_name on principals (name_key, id);

-- One row: the number of everything that authorization rests on.
create table directory (
    id       bigint not null,
    revision bigint not null,
    constraint directory_pk primary key (id),
    constraint directory_one check (id = 1)
){rowless};

insert into directory (id, revision) values (1, 1);

create table passwords (
    principal   {text} not null,
    hash        {text} not null,
    must_change bigint not null,
    failures    bigint not null,
    locked_till bigint not null,
    changed_at  bigint not null,
    constraint passwords_pk primary key (principal),
    constraint passwords_principal foreign key (principal) references principals (id)
){rowless};

create table memberships (
    group_id  {text} not null,
    member_id {text} not null,
    constraint memberships_pk primary key (group_id, member_id),
    constraint memberships_group foreign key (group_id) references principals (id),
    constraint memberships_member foreign key (member_id) references principals (id)
){rowless};

create index memberships_by_member on memberships (member_id, group_id);

-- A built-in role has no tenant, written as empty text.
create table role_definitions (
    id                {text} not null,
    tenant            {text} not null,
    name              {text} not null,
    name_key          {text} not null,
    description       {text} not null,
    built_in          bigint not null,
    permissions       {text} not null,
    assignable_scopes {text} not null,
    created_at        bigint not null,
    updated_at        bigint not null,
    constraint role_definitions_pk primary key (id),
    constraint role_definitions_name unique (tenant, name_key)
){rowless};

create table role_assignments (
    id          {text} not null,
    tenant      {text} not null,
    principal   {text} not null,
    definition  {text} not null,
    scope       {text} not null,
    start_at    bigint not null,
    end_at      bigint not null,
    description {text} not null,
    created_by  {text} not null,
    created_at  bigint not null,
    constraint role_assignments_pk primary key (id),
    constraint role_assignments_tenant foreign key (tenant) references tenants (id),
    constraint role_assignments_principal foreign key (principal) references principals (id),
    constraint role_assignments_definition foreign key (definition) references role_definitions (id)
){rowless};

create index role_assignments_by_principal on role_assignments (principal);
create index role_assignments_by_definition on role_assignments (definition);

create table sessions (
    hash       {text} not null,
    principal  {text} not null,
    created_at bigint not null,
    expires_at bigint not null,
    address    {text} not null,
    client     {text} not null,
    constraint sessions_pk primary key (hash),
    constraint sessions_principal foreign key (principal) references principals (id)
){rowless};

create index sessions_by_principal on sessions (principal);

create table enrollment_tokens (
    hash           {text} not null,
    tenant         {text} not null,
    subscription   {text} not null,
    resource_group {text} not null,
    name           {text} not null,
    mode           {text} not null,
    created_by     {text} not null,
    created_at     bigint not null,
    expires_at     bigint not null,
    used_at        bigint not null,
    constraint enrollment_tokens_pk primary key (hash),
    constraint enrollment_tokens_tenant foreign key (tenant) references tenants (id),
    constraint enrollment_tokens_subscription foreign key (subscription) references subscriptions (id)
){rowless};

create table agents (
    id           {text} not null,
    tenant       {text} not null,
    name         {text} not null,
    name_key     {text} not null,
    mode         {text} not null,
    version      {text} not null,
    fingerprint  {text} not null,
    enrolled_at  bigint not null,
    last_seen_at bigint not null,
    skew         bigint not null,
    revision     bigint not null,
    reported     bigint not null,
    reported_at  bigint not null,
    problem      {text} not null,
    revoked      bigint not null,
    constraint agents_pk primary key (id),
    constraint agents_tenant foreign key (tenant) references tenants (id)
){rowless};

-- A revoked agent frees its name.
create unique index agents_name on agents (tenant, name_key) where revoked = 0;
create index agents_by_name on agents (name_key, id);

create table machines (
    id           {text} not null,
    resource     {text} not null,
    resource_key {text} not null,
    tenant       {text} not null,
    name         {text} not null,
    name_key     {text} not null,
    location     {text} not null,
    os           {text} not null,
    labels       {text} not null,
    addresses    {text} not null,
    agent        {text},
    created_at   bigint not null,
    last_access  bigint not null,
    revision     bigint not null,
    constraint machines_pk primary key (id),
    constraint machines_resource unique (resource_key),
    constraint machines_tenant foreign key (tenant) references tenants (id),
    constraint machines_agent foreign key (agent) references agents (id)
){rowless};

create index machines_by_name on machines (name_key, id);
create index machines_by_agent on machines (agent, name_key, id);

create table policies (
    id           {text} not null,
    resource     {text} not null,
    resource_key {text} not null,
    tenant       {text} not null,
    name         {text} not null,
    location     {text} not null,
    location_key {text} not null,
    created_at   bigint not null,
    updated_at   bigint not null,
    revision     bigint not null,
    constraint policies_pk primary key (id),
    constraint policies_resource unique (resource_key),
    constraint policies_tenant foreign key (tenant) references tenants (id)
){rowless};

-- What a policy says of each of its machines. The primary key holds a machine to one policy.
create table policy_machines (
    machine  {text} not null,
    policy   {text} not null,
    position bigint not null,
    body     {text} not null,
    constraint policy_machines_pk primary key (machine),
    constraint policy_machines_machine foreign key (machine) references machines (id),
    constraint policy_machines_policy foreign key (policy) references policies (id)
){rowless};

create index policy_machines_by_policy on policy_machines (policy, position);

-- Requests and grants name machines and policies that may be deleted later: history outlives them.
create table requests (
    id             {text} not null,
    tenant         {text} not null,
    requester      {text} not null,
    requester_name {text} not null,
    address        {text} not null,
    via            {text} not null,
    items          {text} not null,
    start_at       bigint not null,
    justification  {text} not null,
    ticket         {text} not null,
    state          {text} not null,
    reason         {text} not null,
    created_at     bigint not null,
    pending_until  bigint not null,
    decided_at     bigint not null,
    digest         {text} not null,
    revision       bigint not null,
    constraint requests_pk primary key (id),
    constraint requests_tenant foreign key (tenant) references tenants (id),
    constraint requests_requester foreign key (requester) references principals (id)
);

create index requests_by_age on requests (created_at, id);
create index requests_by_tenant on requests (tenant, created_at, id);
create index requests_by_requester on requests (requester, created_at, id);
create index requests_by_state on requests (state, created_at, id);
create index requests_pending on requests (state, pending_until, id) where state = 'pending';

create table request_machines (
    machine    {text} not null,
    created_at bigint not null,
    request    {text} not null,
    constraint request_machines_pk primary key (machine, created_at, request),
    constraint request_machines_request foreign key (request) references requests (id)
){rowless};

create table grants (
    id             {text} not null,
    request        {text} not null,
    tenant         {text} not null,
    principal      {text} not null,
    principal_name {text} not null,
    machine        {text} not null,
    policy         {text} not null,
    first_port     bigint not null,
    last_port      bigint not null,
    protocol       {text} not null,
    sources        {text} not null,
    start_at       bigint not null,
    end_at         bigint not null,
    state          {text} not null,
    reason         {text} not null,
    created_at     bigint not null,
    opened_at      bigint not null,
    ended_at       bigint not null,
    closed_at      bigint not null,
    warned_at      bigint not null,
    packets        bigint not null,
    bytes          bigint not null,
    revision       bigint not null,
    constraint grants_pk primary key (id),
    constraint grants_tenant foreign key (tenant) references tenants (id),
    constraint grants_request foreign key (request) references requests (id),
    constraint grants_principal foreign key (principal) references principals (id),
    constraint grants_ended check ((ended_at <> 0) = (state in ('expired', 'revoked', 'superseded'))),
    constraint grants_closed check (closed_at = 0 or ended_at <> 0)
);

create index grants_by_request on grants (request, id);
create index grants_by_age on grants (created_at, id);
create index grants_by_tenant on grants (tenant, created_at, id);
create index grants_by_principal on grants (principal, created_at, id);
create index grants_by_machine on grants (machine, created_at, id);
create index grants_scheduled on grants (start_at, id) where state = 'scheduled';
create index grants_not_ended on grants (end_at, id) where ended_at = 0;
create index grants_not_ended_by_age on grants (created_at, id) where ended_at = 0;
create index grants_held on grants (principal, machine, id) where ended_at = 0;
create index grants_not_closed on grants (machine, id) where closed_at = 0;

-- The activity log. body is the canonical record and all there is to it; the other columns repeat what filters need.
-- hash is the record's leaf of the Merkle tree. high is the latest at of this and all earlier events: it never falls,
-- so a time finds its place in the log by it.
create table events (
    seq     {integer} not null,
    at      bigint not null,
    high    bigint not null,
    kind    {text} not null,
    actor   {text} not null,
    machine {text} not null,
    request {text} not null,
    tenant  {text} not null,
    outcome {text} not null,
    hash    {bytes} not null,
    body    {bytes} not null,
    constraint events_pk primary key (seq)
);

create index events_by_high on events (high, seq);
create index events_by_tenant on events (tenant, seq);
create index events_by_kind on events (kind, seq);
create index events_by_actor on events (actor, seq) where actor <> '';
create index events_by_machine on events (machine, seq) where machine <> '';
create index events_by_request on events (request, seq) where request <> '';
create index events_not_succeeded on events (outcome, seq) where outcome <> 'succeeded';

-- only sqlite:
create trigger events_no_update before update on events
begin
    select raise(abort, 'the activity log is append-only');
end;

create trigger events_no_delete before delete on events
begin
    select raise(abort, 'the activity log is append-only');
end;
-- only postgres:
create function events_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the activity log is append-only' using errcode = 'restrict_violation';
end
$$;

create trigger events_no_update before update or delete on events
    for each row execute function events_append_only();

create trigger events_no_truncate before truncate on events
    for each statement execute function events_append_only();
-- end

-- One row: the tree over all events. disorder is the most that at ever fell behind high.
create table audit_head (
    id       bigint not null,
    size     bigint not null,
    frontier {bytes} not null,
    high     bigint not null,
    disorder bigint not null,
    constraint audit_head_pk primary key (id),
    constraint audit_head_one check (id = 1)
){rowless};

-- only sqlite:
insert into audit_head (id, size, frontier, high, disorder) values (1, 0, x'', 0, 0);
-- only postgres:
insert into audit_head (id, size, frontier, high, disorder) values (1, 0, ''::bytea, 0, 0);
-- end

-- Nodes of the tree at levels 8, 16, 24, …; level 0 is the events' own hash, and the rest is derived.
create table audit_nodes (
    level bigint not null,
    idx   bigint not null,
    hash  {bytes} not null,
    constraint audit_nodes_pk primary key (level, idx)
){rowless};

create table checkpoints (
    size bigint not null,
    root {bytes} not null,
    at   bigint not null,
    text {text} not null,
    constraint checkpoints_pk primary key (size)
){rowless};

create table idempotency_keys (
    principal  {text} not null,
    key        {text} not null,
    digest     {text} not null,
    request    {text} not null,
    created_at bigint not null,
    constraint idempotency_keys_pk primary key (principal, key),
    constraint idempotency_keys_principal foreign key (principal) references principals (id)
){rowless};

create table settings (
    name  {text} not null,
    value {bytes} not null,
    constraint settings_pk primary key (name)
){rowless};
