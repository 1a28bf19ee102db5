/** As Sidekiq's: the oldest dead jobs make room, and none stays longer than this. */
export const DEAD_LIMIT = 10_000;
/** So many beyond the limit go together: one by one would make each burial half as dear again for Redis. */
export const DEAD_SURPLUS = 100;
export const DEAD_MAX_AGE_MS = 180 * 24 * 3600 * 1000;
