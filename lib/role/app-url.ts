/** With PORT=0 the port of the links in mails is known only once the tree listens. */
export function lacksPort(appUrl: string): boolean {
  return new URL(appUrl).port === '0';
}

/** @param address where the tree listens. @returns the URL with that port, where it has had none. */
export function appUrlAt(appUrl: string, address: string): string {
  if (!lacksPort(appUrl) || !URL.canParse(address)) return appUrl;
  const url = new URL(appUrl);
  url.port = new URL(address).port;
  return url.href.replace(/\/+$/, '');
}
