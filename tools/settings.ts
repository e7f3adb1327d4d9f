/**
 * Writes docs/settings.md: every setting of a run, from the tables that the command line has its flags from.
 *
 * Usage: npx tsx tools/settings.ts
 */
import { fileURLToPath } from 'node:url'
import { writeFileAtomic } from '../src/files/atomic.js'
import { settingGroups } from '../src/run/settings.js'
import { settingsPage } from './settings-page.js'

const page = fileURLToPath(new URL('../docs/settings.md', import.meta.url))
await writeFileAtomic(page, settingsPage(Object.values(settingGroups)))
