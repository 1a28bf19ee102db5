const FORM = /^(rediss?\+sentinel:\/\/)([^@/?#]*@)?([^@/?#]+)\/([\w.-]+)(\/\d+)?(?:\?([^#]*))?$/;
const PORT = 26_379;
const PARAMETERS = ['sslmode', 'sentinelUsername', 'sentinelPassword'];

/**
 * Reads `redis+sentinel://user:password@host:26379,host2:26379/master/0?sentinelUsername=…&sentinelPassword=…`, or
 * `rediss+sentinel://` for TLS to the servers and to the sentinels. User and password are those of the servers.
 * @returns the same as a URL that `URL` can read: of the first sentinel, with the parameters `sentinels` (all of them,
 * with ports, separated by commas) and `master`; undefined when it has another form.
 */
export function readSentinelUrl(text: string): string | undefined {
  const [, scheme, login = '', hosts = '', master = '', database = '/0', query = ''] = FORM.exec(text) ?? [];
  const sentinels = hosts.split(',').map(withPort);
  const parameters = new URLSearchParams(query);
  const isKnown = [...parameters.keys()].every((name) => PARAMETERS.includes(name));
  if (scheme === undefined || sentinels.includes(undefined) || !isKnown) return undefined;
  parameters.set('sentinels', sentinels.join());
  parameters.set('master', master);
  const url = `${scheme}${login}${sentinels[0]}${database}?${parameters}`;
  return URL.canParse(url) ? url : undefined;
}

function withPort(host: string): string | undefined {
  const url = `redis://${host.trim()}`;
  if (!URL.canParse(url)) return undefined;
  const { hostname, port } = new URL(url);
  return hostname === '' || port === '0' ? undefined : `${hostname}:${port || PORT}`;
}
