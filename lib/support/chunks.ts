export interface ChunkLimits {
  readonly bytes: number;
  readonly count: number;
}

/** Splits a list into chunks within the limits of bytes and items. A single item may be larger. */
export function* chunks<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  limits: ChunkLimits,
): Generator<readonly T[]> {
  let begin = 0;
  let bytes = 0;
  for (let i = 0; i < items.length; i++) {
    const size = sizeOf(items[i] as T);
    if (i > begin && (bytes + size > limits.bytes || i - begin >= limits.count)) {
      yield items.slice(begin, i);
      begin = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (begin < items.length) yield items.slice(begin);
}
