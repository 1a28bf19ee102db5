import net, { type AddressInfo } from 'node:net';

interface Serving {
  serveConnection(connection: net.Socket): void;
}

/** Accepts connections for a web server, as the primary does. @returns the URL, and what ends it. */
export async function handOver(serving: Serving): Promise<{ readonly url: string; readonly end: () => void }> {
  const server = net.createServer({ noDelay: true }, (socket) => serving.serveConnection(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, end: () => void server.close() };
}
