-- When the host is told of keys about to end. The times are nanoseconds.

ALTER TABLE {p}instance
    ADD COLUMN reminders_off smallint NOT NULL DEFAULT 0,
    ADD COLUMN remind_before text NOT NULL DEFAULT '';
