import { ProblemError } from '../../web/context';
import type { OpsContext, PageContext } from '../ui/context';
import { sendCounts } from '../ui/event-stream';
import { Formatter } from '../ui/format';

/** Interval of updates, ms. */
const EVERY_MS = 1000;

/**
 * Streams the page, and then the lines of it that have changed, until its tree is gone. The page's script
 * (`assets/overview.js`) takes over what differs in the elements with `data-part`.
 * @param render the page, without what its script draws itself.
 */
export function streamParts(site: PageContext, ctx: OpsContext, render: () => Promise<string>): void {
  const stream = site.streams.begin(ctx);
  const format = Formatter.of(ctx);
  let shown: readonly string[] = [];
  const update = async () => {
    await sendCounts(stream, site, format);
    const html = await render().catch((error: unknown) => {
      // The reloaded page says that its tree is gone (404). A tree that is only out of reach may come back.
      if (!(error instanceof ProblemError) || error.status !== 404) throw error;
      stream.send('reload');
      stream.end();
    });
    if (html === undefined) return;
    const lines = html.split('\n');
    const changed = lines.flatMap((line, i) => (line === shown[i] ? [] : [[i, line]]));
    // Without changes the event only shows that the worker is responsive.
    if (stream.send('parts', lines.length === shown.length ? { changed } : { lines })) shown = lines;
  };
  // The rendered page is already a moment old, so the first update is sent at once.
  void update().catch(() => undefined);
  stream.every(EVERY_MS, update);
}
