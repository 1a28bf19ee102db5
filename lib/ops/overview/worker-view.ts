import type { WorkerStats, WorkerStatus } from '../../cluster/stats';
import type { SlotPicture, TreePicture } from '../../cluster/tree-picture';
import { hotFactor, inSlot, isRestarting, silenceOf } from '../../verdict/worker-state';
import type { IconName } from '../page/icons';
import { deathWords } from './death-words';
import { barPercent, ICONS, known, lagFigure, type NodeView } from './node-view';
import { facts, type Tone, type Words } from './words';

interface State {
  readonly tone: Tone;
  readonly line?: NodeView['line'];
  readonly icon?: IconName;
  readonly phase: string;
  readonly say: string;
}

/** A slot's card: of the worker that serves in it, or of what is being done about it. */
export function workerView(picture: TreePicture, slot: SlotPicture, words: Words): NodeView {
  const { t } = words;
  const { current, outgoing } = inSlot(picture, slot);
  const shown = current?.state === 'ready' || !outgoing ? current : outgoing;
  const status = shown && known(shown.last_status);
  const mb = shown ? (shown.pss_mb ?? status?.rssMb) : undefined;
  const state = stateOf({ picture, slot, current, outgoing, status }, words);
  const factor = hotFactor(picture, slot.index, mb);
  const hot = factor !== null && state.tone === 'ok' && !outgoing;
  const waiting = status?.backlog;
  return {
    id: `worker-${slot.index}`,
    kind: 'worker',
    name: t('overview.name.worker', { slot: slot.index }),
    on: shown ? (status?.busy_threads ?? null) : 0,
    of: status?.max_threads ?? picture.limits.maxThreads,
    waiting: { text: shown ? String(waiting ?? '–') : '0', tone: waiting ? 'warn' : null },
    lag: lagFigure(status?.lagP99Ms),
    memory: { text: words.mb(mb), tone: hot ? 'bad' : null },
    barPercent: barPercent(mb),
    hot,
    tone: hot ? 'warn' : state.tone,
    line: state.line ?? 'solid',
    icon: hot ? 'warn' : (state.icon ?? ICONS[state.tone]),
    phase: state.phase,
    say: hot ? t('overview.say.hot', { mb: Math.round(mb ?? 0), factor: factor.toFixed(1) }) : state.say,
  };
}

interface Slotted {
  readonly picture: TreePicture;
  readonly slot: SlotPicture;
  readonly current: WorkerStats | undefined;
  readonly outgoing: WorkerStats | undefined;
  readonly status: WorkerStatus | undefined;
}

function stateOf(slotted: Slotted, words: Words): State {
  const { slot, current, outgoing, status } = slotted;
  const { t } = words;
  const cutOff = slot.drainUntil === null ? '' : t('overview.say.cutOff', { span: words.until(slot.drainUntil) });
  const phase = (name: string) => t(`overview.phase.${name}`);
  const draining: Omit<State, 'say'> = { tone: 'warn', line: 'dashed', icon: 'drain', phase: phase('draining') };
  if (current?.state === 'ready') return readyState(slotted, current, words, cutOff);
  if (current?.state === 'draining')
    return { ...draining, say: `${t('overview.say.drains', { count: status?.busy_threads ?? 0 })} ${cutOff}` };
  if (outgoing?.state === 'ready')
    return {
      tone: 'ok',
      icon: 'restart',
      phase: phase('replacing'),
      say: t('overview.say.successor', { pid: outgoing.pid }),
    };
  if (outgoing) {
    const say = t('overview.say.drains', { count: status?.busy_threads ?? 0 });
    return { ...draining, say: `${say} ${cutOff}` };
  }
  if (isRestarting(slot, { current, outgoing })) {
    const say = deathWords(slot.death, slot.nextTry, words);
    return { tone: 'bad', line: 'cut', icon: 'restart', phase: phase('restarting'), say };
  }
  return { tone: 'busy', line: 'dashed', icon: 'restart', phase: phase('starting'), say: t('overview.say.starts') };
}

function readyState({ slot, outgoing, status }: Slotted, current: WorkerStats, words: Words, cutOff: string): State {
  const { t, now, veiled } = words;
  const phase = t('overview.phase.ready');
  const silentMs = silenceOf(current, now);
  if (silentMs !== null) {
    const doing = status?.in_flight[0]?.what;
    const span = words.seconds(silentMs);
    const say =
      doing === undefined || veiled ? t('overview.say.silent', { span }) : t('overview.say.silentIn', { span, doing });
    return { tone: 'warn', phase: t('overview.phase.silent'), say };
  }
  if (outgoing) return { tone: 'ok', phase, say: `${t('overview.say.before', { pid: outgoing.pid })} ${cutOff}` };
  const restarts = Object.values(current.restarts).reduce((sum, count) => sum + count, 0);
  const say = facts(
    t('overview.say.up', { span: words.up(current.started_at) }),
    t('overview.say.restarts', { count: restarts }),
    `pid ${current.pid}`,
  );
  return { tone: 'ok', phase, say: slot.nextTry ? deathWords(slot.death, null, words) : say };
}
