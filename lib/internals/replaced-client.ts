/** Makes a client inherit from the object behind another one, so that all who hold it use the other's connection. */
export function replaceClient(client: object, other: object): void {
  Object.setPrototypeOf(client, Object.getPrototypeOf(other));
}
