-- An access review, and what it asks about. The bodies are JSON; name_key folds the name.
create table access_reviews (
    id         {text} not null,
    tenant     {text} not null,
    name       {text} not null,
    name_key   {text} not null,
    state      {text} not null,
    created_at bigint not null,
    body       {text} not null,
    revision   bigint not null,
    constraint access_reviews_pk primary key (id),
    constraint access_reviews_name unique (tenant, name_key),
    constraint access_reviews_tenant foreign key (tenant) references tenants (id)
){rowless};

create index access_reviews_of_tenant on access_reviews (tenant, created_at, id);
create index access_reviews_live on access_reviews (created_at, id) where state in ('starting', 'open', 'closing');

create table access_review_items (
    review    {text} not null,
    number    bigint not null,
    kind      {text} not null,
    principal {text} not null,
    decision  {text} not null,
    outcome   {text} not null,
    body      {text} not null,
    revision  bigint not null,
    constraint access_review_items_pk primary key (review, number),
    constraint access_review_items_review foreign key (review) references access_reviews (id)
){rowless};

create index access_review_items_decided on access_review_items (review, decision, outcome, number);
create index access_review_items_of on access_review_items (review, principal, number);
