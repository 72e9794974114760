-- What service principals prove themselves with. certificate is PEM, and empty for a secret; hash is of either.
create table secrets (
    id          {text} not null,
    principal   {text} not null,
    name        {text} not null,
    hash        {text} not null,
    certificate {text} not null,
    created_by  {text} not null,
    created_at  bigint not null,
    expires_at  bigint not null,
    constraint secrets_pk primary key (id),
    constraint secrets_principal foreign key (principal) references principals (id)
){rowless};

create index secrets_by_principal on secrets (principal, id);

-- Sign-ins by OAuth 2 that are under way. user_code is empty for an authorization code.
create table pending_sign_ins (
    hash       {text} not null,
    user_code  {text} not null,
    client     {text} not null,
    audience   {text} not null,
    redirect   {text} not null,
    challenge  {text} not null,
    nonce      {text} not null,
    address    {text} not null,
    session    {text} not null,
    denied     bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    constraint pending_sign_ins_pk primary key (hash)
){rowless};

create unique index pending_sign_ins_user_code on pending_sign_ins (user_code) where user_code <> '';
create index pending_sign_ins_expiry on pending_sign_ins (expires_at);
