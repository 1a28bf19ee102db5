import type { Format } from '../page/format';
import type { Counts } from '../page/nav';
import type { EventStream } from './event-stream';

/** Sends the header's numbers when they have changed: every live page has a header. What is not known is a dash. */
export async function tellCounts(
  stream: EventStream,
  site: { counts(): Promise<Counts> },
  format: Format,
): Promise<void> {
  const counts = Object.entries(await site.counts());
  stream.sendWhenNew('counts', Object.fromEntries(counts.map(([name, number]) => [name, format.count(number)])));
}
