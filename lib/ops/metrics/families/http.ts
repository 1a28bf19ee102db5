import { told, type WorkerStatus } from '../../../cluster/stats';
import type { TreePicture } from '../../../cluster/tree-picture';
import { BOUNDS_MS, REFUSALS } from '../../../core/request-counts';
import type { Family, Sample } from '../family';
import type { Readings } from '../readings';

/** Each process that serves the web; while a worker is replaced its slot is that of both. */
function webProcesses({ stats }: TreePicture): { readonly process: string; readonly status: WorkerStatus }[] {
  if (stats.single) return [{ process: 'primary', status: stats.single }];
  return stats.worker_status.flatMap(({ index, last_status }) => {
    const status = told(last_status);
    return status ? [{ process: `web.${index}`, status }] : [];
  });
}

function byProcess({ tree }: Readings, figure: (status: WorkerStatus) => number): Sample[] {
  const sums = new Map<string, number>();
  for (const { process, status } of tree ? webProcesses(tree) : []) {
    sums.set(process, (sums.get(process) ?? 0) + figure(status));
  }
  return [...sums].map(([process, value]) => ({ labels: { process }, value }));
}

/** Of each method that was used every usual status, so that the first error of a kind is seen to be an increase. */
function byMethodAndStatus(answered: Readonly<Record<string, number>>): Sample[] {
  const methods = new Set(['GET', ...Object.keys(answered).map((key) => key.split(' ')[0] ?? '')]);
  const keys = [...methods].flatMap((method) => USUAL.map((status) => `${method} ${status}`));
  return [...new Set([...keys, ...Object.keys(answered)])].map((key) => {
    const [method = '', status = ''] = key.split(' ');
    return { labels: { method, status }, value: answered[key] ?? 0 };
  });
}

const USUAL = ['2xx', '3xx', '4xx', '5xx'];

const requestsOf = ({ tree }: Readings) => tree?.stats.totals.requests;

/** Of the app's requests. Health checks and the operator's pages are none of them. */
export const HTTP: readonly Family[] = [
  {
    name: 'catamount_http_requests_total',
    type: 'counter',
    help: 'Requests that came to an end, by method and class of status. 499 (4xx): the caller left before.',
    read: (readings) => {
      const answered = requestsOf(readings)?.answered;
      return answered ? byMethodAndStatus(answered) : [];
    },
  },
  {
    name: 'catamount_http_request_duration_seconds',
    type: 'histogram',
    help: 'How long requests took from arrival to end, waits included.',
    read: (readings) => {
      const requests = requestsOf(readings);
      return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.duration }] : [];
    },
  },
  {
    name: 'catamount_http_request_queue_seconds',
    type: 'histogram',
    help: 'How long requests waited for a slot.',
    read: (readings) => {
      const requests = requestsOf(readings);
      return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.queued }] : [];
    },
  },
  {
    name: 'catamount_http_requests_refused_total',
    type: 'counter',
    help: 'Requests turned away with 503: the backlog was full, the wait too long (timeout), or the caller was gone (stale).',
    read: (readings) => {
      const requests = requestsOf(readings);
      return requests ? REFUSALS.map((reason) => ({ labels: { reason }, value: requests.refused[reason] })) : [];
    },
  },
  {
    name: 'catamount_http_requests_in_flight',
    type: 'gauge',
    help: 'Requests that hold a slot.',
    read: (readings) => byProcess(readings, (status) => status.busy_threads),
  },
  {
    name: 'catamount_http_requests_waiting',
    type: 'gauge',
    help: 'Requests that wait for a slot: the backlog.',
    read: (readings) => byProcess(readings, (status) => status.backlog),
  },
  {
    name: 'catamount_http_slots',
    type: 'gauge',
    help: 'Requests that may be in flight at once.',
    read: (readings) => byProcess(readings, (status) => status.max_threads),
  },
];
