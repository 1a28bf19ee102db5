/** It has none of its own. */
export default function routes(): void {}
