-- What service principals prove themselves with. certificate is PEM, and empty for a secret; hash is of either.
create table secrets (
    id          text collate "C" not null,
    principal   text collate "C" not null,
    name        text collate "C" not null,
    hash        text collate "C" not null,
    certificate text collate "C" not null,
    created_by  text collate "C" not null,
    created_at  bigint not null,
    expires_at  bigint not null,
    constraint secrets_pk primary key (id),
    constraint secrets_principal foreign key (principal) references principals (id)
);

create index secrets_by_principal on secrets (principal, id);

-- Sign-ins by OAuth 2 that are under way. user_code is empty for an authorization code.
create table pending_sign_ins (
    hash       text collate "C" not null,
    user_code  text collate "C" not null,
    client     text collate "C" not null,
    audience   text collate "C" not null,
    redirect   text collate "C" not null,
    challenge  text collate "C" not null,
    nonce      text collate "C" not null,
    address    text collate "C" not null,
    session    text collate "C" not null,
    denied     bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    constraint pending_sign_ins_pk primary key (hash)
);

create unique index pending_sign_ins_user_code on pending_sign_ins (user_code) where user_code <> '';
create index pending_sign_ins_expiry on pending_sign_ins (expires_at);
