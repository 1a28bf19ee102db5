/** As Sidekiq's: the oldest dead jobs make room, and none stays longer than this. */
export const DEAD_LIMIT = 10_000;
export const DEAD_MAX_AGE_MS = 180 * 24 * 3600 * 1000;
