import fs from 'node:fs';
import path from 'node:path';
import { type KeptProfile, ProfileFolder } from '../../cluster/profiles';
import { processorsOf, type TreeStats, type TreeStatus } from '../../cluster/status';
import { UserError } from '../../core/errors';
import { snakeCase } from '../../support/snake-case';
import { AuditLog } from '../audit/audit-log';
import { type EventLine, eventLines } from '../overview/event-lines';
import { Assets, assetRoutes } from '../ui/assets';
import { Formatter } from '../ui/format';
import { callerOf, type OpsContext, type PageContext, type PageModule } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';

const PATH = '/ops/profiles';
const VIEWER = `${PATH}/flame`;
const VIEWER_PAGE = 'index.html';
/** The viewer writes its styles while it runs, and has a part in WebAssembly. */
const VIEWER_POLICY = [
  "default-src 'none'",
  "style-src 'self' 'unsafe-inline'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
/** While one is being taken, the page loads again after this time, s. */
const RELOAD_S = 2;
/** How long the page shows that one could not be taken, ms. */
const FAILURE_MS = 10 * 60_000;

/** The profiles of the tree that serves the page: its operators take them, look at them, and download them. */
export const profileRoutes: PageModule = (site) => {
  const { router } = site;
  const folder = new ProfileFolder(site.config);
  let viewer: Assets | undefined;
  router.get(PATH, (ctx) => show(site, ctx, folder));
  router.post(PATH, async (ctx) => {
    const { form } = ctx.state;
    const pid = whole(form.get('pid'));
    const [command, args] =
      form.get('kind') === 'heap' ? ['heap-snapshot', [pid]] : ['profile', [pid, whole(form.get('seconds'))]];
    const by = callerOf(ctx);
    try {
      await site.tree.runCommand(command, args, by);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      ctx.status = 409;
      return show(site, ctx, folder, error.message);
    }
    const audited = { command: [command, ...args].join(' '), via: by };
    new AuditLog(site.knex, site.events).record('operator.command', audited);
    ctx.status = 303;
    ctx.redirect(PATH);
  });
  router.get(`${VIEWER}/${VIEWER_PAGE}`, async (ctx, next) => {
    ctx.set('Content-Security-Policy', VIEWER_POLICY);
    await next();
    // On the width of a phone its buttons would cover each other.
    ctx.body = String(ctx.body).replace('width=device-width, initial-scale=1.0', 'width=960');
  });
  assetRoutes(router, VIEWER, () => {
    viewer ??= new Assets(path.dirname(require.resolve(`speedscope/dist/release/${VIEWER_PAGE}`)));
    return viewer;
  });
  router.get(`${PATH}/:name`, (ctx) => {
    const found = folder.find(ctx.params.name ?? '');
    if (!found) throw localizedProblem(404, 'missing');
    if (found.kind === 'heap' && ctx.state.visitor.role === 'viewer') throw localizedProblem(403, 'viewer');
    ctx.attachment(found.name);
    ctx.type = 'application/octet-stream';
    ctx.length = found.bytes;
    ctx.body = fs.createReadStream(found.file);
  });
};

async function show(site: PageContext, ctx: OpsContext, folder: ProfileFolder, refused?: string): Promise<void> {
  const { t } = ctx.state;
  const status = await site.tree.status().catch(() => undefined);
  const profiles = folder.list();
  if (profiles.some(({ complete }) => !complete)) ctx.set('Refresh', String(RELOAD_S));
  const named = status ? processesOf(status.stats) : [];
  const page = {
    title: t('profiles.title'),
    profiles: profiles.map((profile) => ({ ...profile, flame: flameOf(profile), who: words(profile.process, t) })),
    processes: named.map(({ process, pid }) => ({ id: process.replace(' ', '-'), pid, who: words(process, t) })),
    chosen: String(ctx.query.process ?? ''),
    refused,
    failed: status ? lastFailure(status, Formatter.of(ctx)) : undefined,
  };
  const json = profiles.map(({ file: _, ...profile }) => profile);
  await site.layout.show(ctx, 'profiles/profiles', page, { profiles: snakeCase(json) });
}

function processesOf(stats: TreeStats): { readonly process: string; readonly pid: number }[] {
  const jobs = processorsOf(stats).flatMap(({ pid }) => (pid === null ? [] : { process: 'job processor', pid }));
  const workers = stats.workerStatus.map(({ index, pid }) => ({ process: `worker ${index}`, pid }));
  // Parts of the primary have its pid.
  return [{ process: 'primary', pid: stats.pid }, ...workers, ...jobs].filter(
    ({ process, pid }) => process === 'primary' || pid !== stats.pid,
  );
}

function words(process: string, t: OpsContext['state']['t']): string {
  const [, slot] = /^worker (\d+)$/.exec(process) ?? [];
  if (slot !== undefined) return t('overview.name.worker', { slot });
  return t(process === 'primary' ? 'overview.name.primary' : 'overview.name.jobs');
}

function flameOf({ kind, complete, name }: KeptProfile): string | null {
  if (kind !== 'cpu' || !complete) return null;
  return `${VIEWER}/${VIEWER_PAGE}#profileURL=${encodeURIComponent(`${PATH}/${name}`)}&title=${name}`;
}

/** What a command for a profile, which ends later than its request, was answered with. */
function lastFailure({ events }: TreeStatus, format: Formatter): EventLine | undefined {
  const failed = events.find(
    ({ name, about, at }) =>
      name === 'operator.rejected' &&
      /^(profile|heap-snapshot) /.test(String(about.command)) &&
      format.now.getTime() - Date.parse(at) < FAILURE_MS,
  );
  return failed && eventLines([failed], format, 1)[0];
}

function whole(text: string | null): number {
  if (text !== null && /^\d{1,7}$/.test(text)) return Number(text);
  throw localizedProblem(400, 'wrong');
}
