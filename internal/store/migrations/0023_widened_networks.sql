-- Who made a network or widened it lately, and how. A JSON list.
alter table networks add column loosened text not null default '[]';
