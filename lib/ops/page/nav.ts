import type { OpsContext } from '../context';

/** The pages that the header leads to, in its order. The text is `nav.<key>`; what lies below `below`, or `href`, is of it. */
export const NAV = [
  { key: 'overview', href: '/ops' },
  { key: 'queues', href: '/ops/jobs/queues' },
  { key: 'busy', href: '/ops/jobs/busy' },
  { key: 'scheduled', href: '/ops/jobs/scheduled' },
  { key: 'retries', href: '/ops/jobs/retries' },
  { key: 'dead', href: '/ops/jobs/dead' },
  { key: 'cron', href: '/ops/jobs/cron' },
  { key: 'classes', href: '/ops/jobs/classes' },
  { key: 'mail', href: '/ops/mail/deliveries', below: '/ops/mail' },
] as const;

export type NavKey = (typeof NAV)[number]['key'];

/** What stands beside an entry; null: not known at the moment; left out: nothing. */
export type Counts = { readonly [K in NavKey]?: number | null };

/** The entry that the page at hand belongs to. */
export function currentEntry(ctx: Pick<OpsContext, 'path'>): NavKey | undefined {
  const folder = (entry: (typeof NAV)[number]) => ('below' in entry ? entry.below : entry.href);
  const found = NAV.findLast((entry) => ctx.path === folder(entry) || ctx.path.startsWith(`${folder(entry)}/`))?.key;
  // A job has no entry of its own: it depends on where the job is.
  return found === 'overview' && ctx.path.startsWith('/ops/jobs/') ? undefined : found;
}
