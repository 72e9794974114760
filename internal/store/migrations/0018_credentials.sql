-- How a session was opened (password, passkey, or the issuer of a provider), when whoever holds it last proved who they are,
-- and when it was last used; 0 where that was before these were kept.
alter table sessions add column method {text} not null default '';
alter table sessions add column proved_at bigint not null default 0;
alter table sessions add column used_at bigint not null default 0;

-- Where people sign in from, and who tried to: place is a prefix, and empty for all places together where nobody signed in
-- before. signed_in_at is 0 where nobody did.
create table sign_in_places (
    principal    {text} not null,
    place        {text} not null,
    signed_in_at bigint not null,
    failures     bigint not null,
    failed_at    bigint not null,
    locked_till  bigint not null,
    forget_at    bigint not null,
    constraint sign_in_places_pk primary key (principal, place),
    constraint sign_in_places_principal foreign key (principal) references principals (id)
){rowless};

create index sign_in_places_by_end on sign_in_places (forget_at);
