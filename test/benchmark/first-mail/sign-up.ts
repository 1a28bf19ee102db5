import http from 'node:http';

/** As `performance.now()`. */
export interface SignedUp {
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** One sign-up, as a page's script would send it. @throws when it is not answered with 201. */
export function signUp(url: string, agent: http.Agent, user: object): Promise<SignedUp> {
  const body = JSON.stringify(user);
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const sentAt = performance.now();
    const request = http.request(`${url}/users`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode === 201) resolve({ sentAt, answeredAt: performance.now() });
        else reject(new Error(`POST /users: ${response.statusCode}`));
      });
    });
    request.once('error', reject);
    request.end(body);
  });
}
