import { existsSync } from 'node:fs'

/** Where a Chromium is, if there is one: `CHROMIUM`, or where systems put it. */
export const chromiumPath = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find(path => path !== undefined && existsSync(path))
