import type { Mutation } from './mutation';

const CHARTS = ['test/ops/charts/charts.test.ts'];
const DRAWN = ['test/ops/charts/drawn.deep.ts'];
const ARGUMENTS = ['test/ops/jobs/argument-text.test.ts'];
const JOB = ['test/ops/jobs/job-page.test.ts'];
const LISTS = ['test/ops/jobs/lists.test.ts'];
const TABLES = ['test/support/text.test.ts'];
const LANDING = ['test/app/home.test.ts'];
const ALIKE = ['test/health/issues.test.ts'];

/** Mutations of what the pages, the terminal and the log say, which make it untrue or unreadable. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a chart does not drop at its end: the rate of an unfinished step is that of its recorded seconds',
    file: 'lib/ops/charts/charts.ts',
    find: 'return Math.min(stepS, written);',
    replace: 'return stepS;',
    killedBy: CHARTS,
  },
  {
    promise: 'a step without recorded seconds is a gap, not 0',
    file: 'lib/ops/charts/charts.ts',
    find: '(figures && seconds(at) >= PART_S ? short',
    replace: '(figures ? short',
    killedBy: CHARTS,
  },
  {
    promise: 'the legend of a chart has the unit of its axis',
    file: 'lib/ops/charts/charts.ts',
    find: "const ms = (value: number) => t('time.ms', { n: plain(value) });",
    replace: "const ms = (value: number) => t('time.s', { n: plain(value / 1000) });",
    killedBy: CHARTS,
  },
  {
    promise: 'less than one request per second is shown per minute',
    file: 'lib/ops/charts/charts.ts',
    find: '.some((value) => (value ?? 0) >= 1);',
    replace: '.some((value) => (value ?? 0) >= 0);',
    killedBy: CHARTS,
  },
  {
    promise: 'two workers are drawn in different shades',
    file: 'lib/ops/ui/format.ts',
    find: "return SHADES[slot % SHADES.length] ?? 'w0';",
    replace: "return SHADES[0] ?? (slot > 0 ? 'w1' : 'w0');",
    killedBy: CHARTS,
  },
  {
    promise: 'a single value between gaps is visible',
    file: 'lib/ops/assets/charts.js',
    find: 'filter: lone',
    replace: 'filter: () => null',
    killedBy: DRAWN,
  },
  {
    promise: 'each layer of memory that has room for its name is labelled',
    file: 'lib/ops/assets/charts.js',
    find: 'if (value / max < NAMED) continue;',
    replace: 'if (value < NAMED) continue;',
    killedBy: DRAWN,
  },
  {
    promise: 'without scripts the charts are an open table',
    file: 'lib/ops/views/overview/charts.ejs',
    find: '<details open>',
    replace: '<details>',
    killedBy: DRAWN,
  },
  {
    promise: 'changing the clock makes no process unresponsive',
    file: 'lib/health/issues.ts',
    find: 'heartbeatAgeMs ?? now.getTime()',
    replace: 'now.getTime()',
    killedBy: ['test/health/issues.test.ts'],
  },
  {
    promise: 'the issue of a queue that waits for slots names what occupies them',
    file: 'lib/health/issues.ts',
    find: 'if (holders.length > 0) return',
    replace: 'if (holders.length > 99) return',
    killedBy: ALIKE,
  },
  {
    promise: 'a queue without a processor is distinguished from one that is late',
    file: 'lib/health/issues.ts',
    find: 'if (serving.length === 0 && knowsAll) return',
    replace: 'if (serving.length < 0) return',
    killedBy: ALIKE,
  },
  {
    promise: 'the page of a queue names what occupies the slots that it waits for',
    file: 'lib/ops/jobs/queues.ts',
    find: 'limitMs > 0 && latencyMs > limitMs',
    replace: 'limitMs > 0 && latencyMs > limitMs * 1e6',
    killedBy: ['test/ops/jobs/queues.test.ts'],
  },
  {
    promise: 'a class also links to the retries of its jobs',
    file: 'lib/ops/jobs/filters.ts',
    find: "(name !== 'failed' || page.name === 'retry')",
    replace: "(name !== 'failed' || page.name === 'dead')",
    killedBy: LISTS,
  },
  {
    promise: 'all jobs of a list can be selected, however few they are',
    file: 'lib/ops/views/jobs/list.ejs',
    find: 'if (everything && rows.length > 0) {',
    replace: 'if (everything && paging.total > 50) {',
    killedBy: LISTS,
  },
  {
    promise: 'the page of a job links to its mails',
    file: 'lib/ops/jobs/job-page.ts',
    find: 'mails: await readMails(site, entry, rules),',
    replace: 'mails: (await readMails(site, entry, rules)) && null,',
    killedBy: ['test/ops/mail/deliveries.test.ts'],
  },
  {
    promise: 'arguments are shown up to the length of a line',
    file: 'lib/ops/jobs/job-view.ts',
    find: 'const MAX_LINE_LENGTH = 400;',
    replace: 'const MAX_LINE_LENGTH = 44;',
    killedBy: ARGUMENTS,
  },
  {
    promise: 'no argument changes the text direction of a page',
    file: 'lib/ops/jobs/job-view.ts',
    find: 'text: value === REDACTED ? null : escapeControls(formatValue(value)),',
    replace: 'text: value === REDACTED ? null : formatValue(value),',
    killedBy: ARGUMENTS,
  },
  {
    promise: 'a job that killed itself is shown as refused for good',
    file: 'lib/ops/jobs/job-page.ts',
    find: "refused: place.place === 'dead' && !job.killed && diedOfLatestError(entry),",
    replace: "refused: place.place === 'dead' && !job.killed && !saysSo(entry),",
    killedBy: [...JOB, 'test/ops/jobs/actions.test.ts', ...LISTS],
  },
  {
    promise: 'a table of the terminal is as narrow as the terminal',
    file: 'lib/support/text-table.ts',
    find: 'while (taken() > columns) {',
    replace: 'while (taken() > columns * 1e6) {',
    killedBy: TABLES,
  },
  {
    promise: 'a table in a pipe is not padded to the width of a rare long cell',
    file: 'lib/support/text-table.ts',
    find: 'widths[i] = Math.min(each, MAX_PADDED);',
    replace: 'widths[i] = each;',
    killedBy: TABLES,
  },
  {
    promise: 'the first column of a table, which people copy, is never truncated',
    file: 'lib/support/text-table.ts',
    find: '(i) => i > 0 && i < widths.length - 1',
    replace: '(i) => i < widths.length - 1',
    killedBy: TABLES,
  },
  {
    promise: 'pretty log lines name the request',
    file: 'lib/core/logging.ts',
    find: 'requestId ? ` (',
    replace: 'requestId === 0 ? ` (',
    killedBy: ['test/core/log.test.ts'],
  },
  {
    promise: 'the URL in the log can be opened',
    file: 'lib/role/start/banner.ts',
    find: "if (['0.0.0.0', '[::]'].includes(url.hostname)) url.hostname = 'localhost';",
    replace: '',
    killedBy: ['test/role/start/banner.test.ts'],
  },
  {
    promise: 'the log says where the pages and the mails are',
    file: 'lib/role/start/banner.ts',
    find: "const ops = ['/ops', ...(mail.delivery === 'file' ? ['/ops/mail/inbox'] : [])];",
    replace: 'const ops = mail.delivery === null ? [opsToken] : [];',
    killedBy: ['test/role/start/banner.test.ts'],
  },
  {
    promise: 'the landing page is in the language of the browser',
    file: 'lib/app/routes/home.ts',
    find: 'const { texts, page: translated } = pages[userLocale(ctx.locale)];',
    replace: 'const { texts, page: translated } = pages.en;',
    killedBy: LANDING,
  },
  {
    promise: 'the landing page links to the tree and to the mails',
    file: 'lib/app/routes/home.ts',
    find: 'links: link(ops?.tree, texts.operate) + link(ops?.inbox, texts.inbox),',
    replace: "links: link(ops?.tree, texts.operate).replace(/.*/, ''),",
    killedBy: LANDING,
  },
  {
    promise: 'a viewer sees no output of processes, not even in the JSON of issues',
    file: 'lib/ops/overview/overview-view.ts',
    find: 'format.redacted ? judgement.issues.map',
    replace: '!format.redacted ? judgement.issues.map',
    killedBy: ['test/ops/overview/overview.test.ts'],
  },
  {
    promise: 'a job processor that sends no heartbeats is marked where its jobs are listed',
    file: 'lib/ops/views/jobs/busy.ejs',
    find: 'process.heartbeatAgeMs > UNRESPONSIVE_MS',
    replace: 'process.silentMs > UNRESPONSIVE_MS',
    killedBy: ['test/ops/jobs/queues.test.ts'],
  },
  {
    promise: 'a Postgres that accepts statements but does not reply is named, not Redis',
    file: 'lib/ops/auth/session-key.ts',
    find: 'new PostgresTimeoutError(KEY_TIMEOUT_MS) : error',
    replace: 'error : error',
    killedBy: ['test/ops/ui/silent-postgres.deep.ts'],
  },
  {
    promise: '/ready says how old the oldest due job is while jobs stand still',
    file: 'lib/web/health.ts',
    find: '...(oldestDueS !== null && { oldestDueSeconds: oldestDueS }) };',
    replace: '};',
    killedBy: ['test/web/health.test.ts'],
  },
  {
    promise: 'the age of the oldest due job is known, and grows, while the processor is frozen',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: '(oldestMs + ageMs)',
    replace: 'oldestMs',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'the last progress of a part is relative to now, not to the last heartbeat',
    file: 'lib/health/last-progress.ts',
    find: 'movedMs: movedMs + (heartbeatAgeMs ?? 0)',
    replace: 'movedMs',
    killedBy: ['test/ops/metrics/exposition.test.ts', 'test/ops/overview/cards.test.ts'],
  },
];

export default mutations;
