-- When a session was last confirmed by a passkey; 0 where it never was.
alter table sessions add column stepped_up_at bigint not null default 0;

create index sessions_by_expiry on sessions (expires_at);
create index enrollment_tokens_by_expiry on enrollment_tokens (expires_at);
create index requests_by_address on requests (address, created_at, requester) where address <> '';
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Tokens that principals made for their programs. hash is of the token; actions is a JSON list, empty for all.
create table api_tokens (
    id         {text} not null,
    principal  {text} not null,
    name       {text} not null,
    hash       {text} not null,
    scope      {text} not null,
    actions    {text} not null,
    created_at bigint not null,
    expires_at bigint not null,
    constraint api_tokens_pk primary key (id),
    constraint api_tokens_hash unique (hash),
    constraint api_tokens_principal foreign key (principal) references principals (id)
){rowless};

create index api_tokens_by_principal on api_tokens (principal, id);
create index api_tokens_by_expiry on api_tokens (expires_at);

-- Named networks. prefixes is a JSON list.
create table networks (
    tenant     {text} not null,
    name       {text} not null,
    name_key   {text} not null,
    prefixes   {text} not null,
    created_at bigint not null,
    updated_at bigint not null,
    revision   bigint not null,
    constraint networks_pk primary key (tenant, name_key),
    constraint networks_tenant foreign key (tenant) references tenants (id)
){rowless};

-- Whom an identity provider's subject is here.
create table external_identities (
    issuer     {text} not null,
    subject    {text} not null,
    principal  {text} not null,
    created_at bigint not null,
    constraint external_identities_pk primary key (issuer, subject),
    constraint external_identities_principal foreign key (principal) references principals (id)
){rowless};

create index external_identities_by_principal on external_identities (principal);

-- Passkeys. id is the credential's, in base64url; body is its public part, as JSON.
create table passkeys (
    id         {text} not null,
    principal  {text} not null,
    name       {text} not null,
    body       {text} not null,
    created_at bigint not null,
    used_at    bigint not null,
    revision   bigint not null,
    constraint passkeys_pk primary key (id),
    constraint passkeys_principal foreign key (principal) references principals (id)
){rowless};

create index passkeys_by_principal on passkeys (principal, id);

-- Ceremonies of signing in that wait for their second half: at an identity provider, or with a passkey.
create table ceremonies (
    hash       {text} not null,
    kind       {text} not null,
    principal  {text} not null,
    body       {text} not null,
    created_at bigint not null,
    expires_at bigint not null,
    constraint ceremonies_pk primary key (hash)
){rowless};

create index ceremonies_by_expiry on ceremonies (expires_at);

-- Codes with which a machine is opened while the server is out of reach. hash is of the code.
create table glass_codes (
    id         {text} not null,
    machine    {text} not null,
    agent      {text} not null,
    hash       {text} not null,
    most       bigint not null,
    issued_by  {text} not null,
    issued_at  bigint not null,
    expires_at bigint not null,
    used_at    bigint not null,
    constraint glass_codes_pk primary key (id)
){rowless};

create index glass_codes_by_agent on glass_codes (agent, machine, id);
create index glass_codes_by_expiry on glass_codes (expires_at);
