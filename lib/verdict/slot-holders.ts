/** From then on a job is one that holds its slot, ms: shorter ones come and go. */
const LONG_MS = 10_000;

/** The jobs that one processor runs. */
export interface Slots {
  readonly concurrency: number;
  readonly running: readonly { readonly class: string; readonly ageMs: number }[];
}

/** A class whose jobs hold slots. */
export interface Holder {
  readonly class: string;
  readonly count: number;
  /** Of the one that has run for longest. */
  readonly ageMs: number;
}

/**
 * Who holds the slots when long jobs are what the others wait for: no processor has a slot left, and long jobs hold half
 * of them at least. Else nobody: jobs come faster than they are done.
 */
export function slotHolders(processors: readonly Slots[]): Holder[] {
  const total = processors.reduce((sum, { concurrency }) => sum + concurrency, 0);
  if (total === 0 || processors.some(({ concurrency, running }) => running.length < concurrency)) return [];
  const long = processors.flatMap(({ running }) => running).filter(({ ageMs }) => ageMs >= LONG_MS);
  if (long.length * 2 < total) return [];
  const holders = new Map<string, Holder>();
  for (const { class: name, ageMs } of long) {
    const before = holders.get(name);
    holders.set(name, { class: name, count: (before?.count ?? 0) + 1, ageMs: Math.max(ageMs, before?.ageMs ?? 0) });
  }
  return [...holders.values()].sort((a, b) => b.count - a.count || b.ageMs - a.ageMs);
}
