import { ProblemError } from '../../web/context';
import type { EventStream } from './event-stream';
import { Formatter } from './format';
import type { PageLocals } from './layout';
import type { OpsContext, PageContext } from './page-types';
import { linkWith, PASSING } from './shell';

/** Interval of updates, ms. All that one shows is read once for all readers of this process. */
const EVERY_MS = 2000;
/** An update takes the numbers of another reader's, ms. */
const SHARED_MS = EVERY_MS - 100;

interface Look {
  readonly locals: PageLocals;
  readonly json: unknown;
}

/**
 * Adds a page that follows live: its stream renders it again every two seconds, and the page's script (`assets/parts.js`)
 * takes over what differs in the elements with `data-part`.
 * @param look reads what the page shows; `streamed`: without what is outside of those elements.
 * @param events path of the stream.
 */
export function livePage(
  site: PageContext,
  path: string,
  view: string,
  look: (ctx: OpsContext, streamed: boolean) => Promise<Look>,
  events = `${path}/events`,
): void {
  site.router.get(path, async (ctx) => {
    const { locals, json } = await look(ctx, false);
    await site.layout.show(ctx, view, { live: linkWith(events, ctx.querystring, PASSING), ...locals }, json);
  });
  site.router.get(events, (ctx) => {
    // Links in the page lead from its own address.
    ctx.path = path;
    streamParts(site, ctx, async () => site.layout.part(ctx, view, (await look(ctx, true)).locals));
  });
}

/** Streams the page, and then the lines of it that have changed, until what it shows is gone. */
function streamParts(site: PageContext, ctx: OpsContext, render: () => Promise<string>): void {
  const stream = site.streams.begin(ctx);
  let shown: readonly string[] = [];
  const update = async () => {
    await sendCounts(site, ctx, stream);
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

/** Streams only the header's numbers, for pages whose contents stay as they are until the reader reloads them. */
export function streamCounts(site: PageContext, ctx: OpsContext): void {
  const stream = site.streams.begin(ctx);
  stream.every(EVERY_MS, async () => {
    await sendCounts(site, ctx, stream);
    stream.send('tick');
  });
}

/** Sends the header's numbers when they have changed. An unknown one is a dash. */
async function sendCounts(site: PageContext, ctx: OpsContext, stream: EventStream): Promise<void> {
  const { counted } = Formatter.of(ctx);
  const counts = Object.entries(await site.counts(SHARED_MS));
  stream.sendWhenNew('counts', Object.fromEntries(counts.map(([name, number]) => [name, counted(number)])));
}
