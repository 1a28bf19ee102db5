import { type ProcessorStats, type ProcessorStatus, reported, type TreeStatus } from '../../cluster/status';
import { unresponsiveMs } from '../../health/issues';
import { lastProgress, oldestDueMs } from '../../health/last-progress';
import { findStandstills } from '../../health/standstills';
import { type Formatter, facts } from '../ui/format';
import {
  barPercent,
  ICONS,
  lagFigure,
  type ProcessView,
  type State,
  terminationText,
  unresponsiveState,
} from './process-cards';

const MAX_NAMED = 2;

/**
 * The job processor's card, from its last heartbeat to the primary.
 * @param waiting number of jobs waiting in the queues that it serves; null when it is unknown.
 * @param blockedBy the jobs that may have blocked it; default: those of the heartbeat.
 */
export function jobsView(
  treeStatus: TreeStatus,
  waiting: number | null,
  format: Formatter,
  blockedBy = '',
): ProcessView {
  const { jobProcessor: processor } = treeStatus.stats;
  const status = reported(processor.lastStatus);
  const mb = processor.pssMb ?? status?.rssMb;
  const state = describeState(treeStatus, processor, status, blockedBy, format);
  const isKnown = state.tone !== 'unknown' && status !== undefined && processor.pid !== null;
  return {
    id: 'jobs',
    kind: 'jobs',
    name: format.t('overview.name.jobs'),
    on: isKnown && unresponsiveMs(processor) === null ? status.inFlight.length : processor.pid === null ? 0 : null,
    of: treeStatus.limits.jobConcurrency,
    waiting: { text: waiting === null ? '–' : String(waiting), tone: null },
    lag: lagFigure(isKnown ? status.lagP99Ms : undefined),
    memory: { text: format.mb(processor.pid === null ? null : mb), tone: null },
    barPercent: barPercent(processor.pid === null ? null : mb),
    hot: false,
    tone: state.tone,
    line: state.line ?? 'solid',
    icon: state.icon ?? ICONS[state.tone],
    phase: state.phase,
    say: state.say,
    moved:
      isKnown && processor.state === 'ready' && unresponsiveMs(processor) === null
        ? progressText(treeStatus, format)
        : '',
  };
}

/** When each part last made progress, and for how long the oldest job has been due, as one line; '' if nothing is known. */
export function progressText(treeStatus: TreeStatus, format: Formatter): string {
  const { t } = format;
  const parts = lastProgress(treeStatus).map(({ part, movedMs }) =>
    t('overview.progress.part', { part: t(`overview.progress.${part}`), span: format.coarse(Math.max(1000, movedMs)) }),
  );
  const dueMs = oldestDueMs(treeStatus);
  return facts(
    parts.length > 0 && t('overview.progress.line', { parts: parts.join(', ') }),
    dueMs !== undefined && t('overview.progress.due', { span: format.coarse(Math.max(1000, dueMs)) }),
  );
}

function describeState(
  { processor: { lastTermination, nextRestart }, stats: { otherJobProcessor: other } }: TreeStatus,
  processor: ProcessorStats,
  status: ProcessorStatus | undefined,
  blockedBy: string,
  format: Formatter,
): State {
  const { t } = format;
  const phase = (name: string) => t(`overview.phase.${name}`);
  const say = (name: string, values?: Readonly<Record<string, unknown>>) => t(`overview.say.${name}`, values);
  switch (processor.state) {
    case 'crash_loop': {
      const next = terminationText(null, nextRestart, format);
      const count = nextRestart?.attempt ?? 0;
      return { tone: 'bad', line: 'cut', phase: phase('crashLoop'), say: `${say('crashLoop', { count })} ${next}` };
    }
    case 'backing_off':
    case 'disabled':
    case 'booting':
      if (!nextRestart && processor.state !== 'backing_off')
        return { tone: 'busy', line: 'dashed', icon: 'restart', phase: phase('starting'), say: say('starts') };
      return {
        tone: 'bad',
        line: 'cut',
        icon: 'restart',
        phase: phase('restarting'),
        say: terminationText(lastTermination, nextRestart, format),
      };
    case 'stopping':
      return { tone: 'warn', line: 'dashed', icon: 'drain', phase: phase('draining'), say: say('jobsDrain') };
    case 'quiet':
      return { tone: 'warn', line: 'dashed', icon: 'drain', phase: phase('quiet'), say: say('jobsQuiet') };
    case 'ready':
      return readyState(processor, other, status, blockedBy, format);
  }
}

function readyState(
  processor: ProcessorStats,
  other: ProcessorStats | undefined,
  status: ProcessorStatus | undefined,
  blockedBy: string,
  format: Formatter,
): State {
  const { t } = format;
  const heartbeatAgeMs = unresponsiveMs(processor);
  const running = (status?.inFlight ?? []).map(({ what, job, ageMs }) => `${job?.class ?? what} ${format.span(ageMs)}`);
  const named =
    running.slice(0, MAX_NAMED).join(', ') + (running.length > MAX_NAMED ? ` +${running.length - MAX_NAMED}` : '');
  if (heartbeatAgeMs !== null) return unresponsiveState(heartbeatAgeMs, blockedBy || named, format);
  const phase = t('overview.phase.ready');
  if (other?.state === 'stopping') return { tone: 'ok', phase, say: t('overview.say.before', { pid: other.pid }) };
  if (other) {
    const say = t('overview.say.successor', { pid: processor.pid });
    return { tone: 'ok', icon: 'restart', phase: t('overview.phase.replacing'), say };
  }
  const rest = facts(
    t('overview.say.up', { span: format.up(processor.startedAt) }),
    t('overview.say.restarts', { count: processor.restarts }),
    `pid ${processor.pid}`,
  );
  const say = named === '' ? rest : named;
  const stalled = status ? findStandstills(status) : [];
  // Mail and queues have cards of their own.
  return stalled.some(({ part }) => part !== 'mail' && part !== 'queue')
    ? { tone: 'bad', phase: t('overview.phase.standsStill'), say }
    : { tone: 'ok', phase, say };
}
