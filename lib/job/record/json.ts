/** What JSON carries without loss: all that a job's arguments may be made of. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
