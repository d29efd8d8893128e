-- When the host is told of keys about to end. The times are nanoseconds.

ALTER TABLE {p}instance ADD COLUMN reminders_off INTEGER NOT NULL DEFAULT 0;

ALTER TABLE {p}instance ADD COLUMN remind_before TEXT NOT NULL DEFAULT '';
