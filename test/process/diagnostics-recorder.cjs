// This file is preloaded into every process of a tree. It subscribes to the diagnostics channels that DIAGNOSTICS_CHANNELS
// names, and appends each message to the file DIAGNOSTICS_RECORD, with the id of its process.
const { subscribe } = require('node:diagnostics_channel');
const fs = require('node:fs');

for (const channel of process.env.DIAGNOSTICS_CHANNELS.split(','))
  subscribe(channel, (message) => {
    fs.appendFileSync(process.env.DIAGNOSTICS_RECORD, `${JSON.stringify({ ...message, channel, by: process.pid })}\n`);
  });
