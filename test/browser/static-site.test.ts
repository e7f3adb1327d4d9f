import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type BuildContext, context } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath } from './chromium.js'
import { launchChromium } from './pages.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = `${root}site/dist`

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no page of the site is opened.')

/** A page that is open, and what of it is not as it should be. */
interface OpenedPage {
  readonly tab: Page
  /** Errors of the console, exceptions, and requests to other machines. */
  readonly failures: string[]
}

// The pages of the API take most of a build and are made by typedoc alone: CI builds the whole site as a check of its own.
describe.skipIf(!chromiumPath)('the site', () => {
  let server: BuildContext
  let browser: Browser
  let address: string

  beforeAll(async () => {
    execFileSync('npx', ['tsx', 'tools/site.ts', 'build', '--no-api'], { cwd: root, stdio: 'pipe' })
    server = await context({})
    const { port } = await server.serve({ servedir: dist, host: '127.0.0.1', port: 0 })
    address = `http://127.0.0.1:${port}/`
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await server?.dispose()
  })

  /** Opens a page whose shifts of layout are recorded from the start. */
  async function open(
    path: string,
    width: number,
    colorScheme: 'light' | 'dark' = 'light',
  ): Promise<OpenedPage> {
    const tab = await browser.newPage({
      viewport: { width, height: 844 },
      colorScheme,
      reducedMotion: 'reduce',
    })
    tab.setDefaultTimeout(0)
    const failures: string[] = []
    tab.on('pageerror', error => failures.push(`${path}: ${error.message}`))
    tab.on('console', message => message.type() === 'error' && failures.push(`${path}: ${message.text()}`))
    tab.on('request', request => {
      if (!/^(data:|blob:)/.test(request.url()) && !request.url().startsWith(address))
        failures.push(request.url())
    })
    await tab.addInitScript(() => {
      const shifts: number[] = []
      Object.assign(globalThis, { shifts })
      new PerformanceObserver(list => {
        for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value)
      }).observe({ type: 'layout-shift', buffered: true })
    })
    await tab.goto(address + path, { waitUntil: 'networkidle' })
    await mounted(tab)
    return { tab, failures }
  }

  /** Waits until the page's script answers keys and clicks: Vue says so at the element that it has taken over. */
  async function mounted(tab: Page): Promise<void> {
    await tab.waitForFunction(() => '__vue_app__' in (document.querySelector('#app') ?? {}))
  }

  test('shows every page on a phone without an error, a request to others or a page wider than the screen', async () => {
    const all = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter(
      name => name.endsWith('.html') && name !== '404.html',
    )
    expect(all).toEqual(expect.arrayContaining(['index.html', 'method.html', 'results/fig4.html']))
    // The pages of studies are made alike: these have the widest tables.
    const studies = all.filter(
      name => name.startsWith('results/') && !/(index|explained|transfer|ablation)/.test(name),
    )
    const pages = all.filter(name => !studies.includes(name))
    const { tab, failures } = await open('index.html', 390)
    for (const page of pages) {
      await tab.goto(address + page, { waitUntil: 'load' })
      await mounted(tab)
      const { width, title, broken } = await tab.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        title: document.querySelector('h1')?.textContent,
        broken: [...document.images]
          .filter(image => image.complete && image.naturalWidth === 0)
          .map(({ src }) => src),
      }))
      expect({ page, width, broken }).toEqual({ page, width: 390, broken: [] })
      expect(title, page).toBeTruthy()
    }
    expect(failures).toEqual([])
    await tab.close()
  })

  test.each([
    ['light', 390],
    ['dark', 1400],
  ] as const)('is readable and named in %s at %i pixels, and stays where it is', async (scheme, width) => {
    for (const path of ['index.html', 'method.html', 'results/index.html']) {
      const { tab, failures } = await open(path, width, scheme)
      if (path === 'method.html') await tab.waitForSelector('.live-method output:not(:empty)')
      expect(await tab.evaluate(lowContrasts), path).toEqual([])
      expect(await tab.evaluate(namelessControls), path).toEqual([])
      const shifts = await tab.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts)
      expect(
        shifts.reduce((sum, shift) => sum + shift, 0),
        path,
      ).toBeLessThan(0.1)
      expect(failures).toEqual([])
      await tab.close()
    }
  })

  test('asks the network of the method anew when a reader chooses, by keyboard as well', async () => {
    const { tab, failures } = await open('method.html', 390)
    const said = () => tab.locator('.live-method output').textContent()
    await tab.waitForSelector('.live-method output:not(:empty)')
    const trained = await said()
    expect(trained).toContain('4 of 16 patches each')
    expect(await tab.locator('.live-method .kept rect').count()).toBe(16)
    await tab.locator('.live-method input').focus()
    for (let i = 0; i < 3; i++) await tab.keyboard.press('ArrowLeft')
    expect(await said()).toContain('1 of 16 patches each')
    expect(await tab.locator('.live-method .kept rect').count()).toBe(4)
    await tab.locator('.live-method select').selectOption('uniform')
    await tab.locator('.live-method button').nth(1).focus()
    await tab.keyboard.press('Enter')
    expect(await tab.locator('.live-method button').nth(1).getAttribute('aria-pressed')).toBe('true')
    expect(failures).toEqual([])
    await tab.close()
  })

  test('trains in the playground, and stops when the reader leaves', async () => {
    const { tab, failures } = await open('playground.html', 1400)
    await tab.waitForFunction(() => /Epoch [1-9]/.test(document.body.innerText))
    expect(tab.workers()).toHaveLength(1)
    expect(await tab.evaluate(namelessControls)).toEqual([])
    const ended = tab.workers()[0]?.waitForEvent('close', { timeout: 0 })
    await tab.locator('.VPNavBarTitle a').click()
    await tab.waitForSelector('.vp-doc h1')
    await ended
    expect(tab.workers()).toHaveLength(0)
    expect(failures).toEqual([])
    await tab.close()
  })

  test('has the explorer wait for a network', async () => {
    const { tab, failures } = await open('explorer.html', 390, 'dark')
    await tab.waitForSelector('.explorer input[type=file]', { state: 'attached' })
    expect(await tab.evaluate(lowContrasts)).toEqual([])
    expect(failures).toEqual([])
    await tab.close()
  })

  test('finds a page by its words', async () => {
    const { tab, failures } = await open('index.html', 1400)
    await tab.keyboard.press('Control+k')
    await tab.locator('.VPLocalSearchBox input').fill('what the theory says')
    await tab.waitForSelector('.result[href*="method"]')
    expect(failures).toEqual([])
    await tab.close()
  })
})

/** Texts whose contrast to what lies behind them is below that of WCAG AA; texts on pictures are left out. */
function lowContrasts(): string[] {
  const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = ([r = 0, g = 0, b = 0]: readonly number[]) => {
    const linear = [r, g, b].map(value =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    )
    return 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!
  }
  const behind = (element: Element): readonly number[] => {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor)
      if ((color[3] ?? 1) > 0.5) return color
    }
    return [255, 255, 255]
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const low = new Set<string>()
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement
    if (!element || !node.textContent?.trim() || element.closest('svg, script, style, noscript')) continue
    const { color, fontSize, fontWeight, opacity } = getComputedStyle(element)
    if (element.getClientRects().length === 0 || opacity === '0') continue
    const [a, b] = [luminance(channels(color)), luminance(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const isLarge =
      Number.parseFloat(fontSize) >= 24 || (Number.parseFloat(fontSize) >= 18.6 && Number(fontWeight) >= 700)
    if (ratio < (isLarge ? 3 : 4.5))
      low.add(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)} (${element.className})`)
  }
  return [...low]
}

/** Controls and pictures without a name for people who do not see them. */
function namelessControls(): string[] {
  const controls = [
    ...document.querySelectorAll<HTMLElement>('a[href], button, input, select, textarea, [role=button], img'),
  ]
  const isNamed = (control: HTMLElement) =>
    control.getAttribute('aria-label') ||
    control.getAttribute('aria-labelledby') ||
    control.title ||
    control.textContent?.trim() ||
    (control instanceof HTMLImageElement && control.hasAttribute('alt')) ||
    control.querySelector('img[alt]:not([alt=""]), svg[aria-label]') ||
    ((control as HTMLInputElement).labels?.length ?? 0) > 0
  return controls
    .filter(control => control.getClientRects().length > 0 && !isNamed(control))
    .map(({ outerHTML }) => outerHTML.slice(0, 120))
}
