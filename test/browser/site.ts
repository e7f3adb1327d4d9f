import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { builtModules, launchChromium, type PageServer, servePages } from './pages.js'

/** A server of pages, and a browser that opens them. */
export interface Site {
  readonly server: PageServer
  readonly browser: Browser
}

/** Builds this package, serves pages with it and launches a browser before the tests of a group; closes all after them. */
export function useSite(): Site {
  const site: { folder: string; server?: PageServer; browser?: Browser } = { folder: '' }

  beforeAll(async () => {
    site.folder = await mkdtemp(join(tmpdir(), 'browser-modules-'))
    site.server = await servePages(await builtModules(site.folder))
    site.browser = await launchChromium()
  })

  afterAll(async () => {
    await site.browser?.close()
    site.server?.close()
    await rm(site.folder, { recursive: true, force: true })
  })

  return site as Site
}
