/**
 * Takes the picture of the playground in docs/playground.png: the built site in Chromium, after 30 epochs of its first task.
 *
 * Usage: npm run site && npx tsx tools/playground-picture.ts [--chromium PATH] [--out FILE]
 */
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { context } from 'esbuild'
import { chromium } from 'playwright-core'

const dist = fileURLToPath(new URL('../site/dist', import.meta.url))

async function takePicture(executablePath: string, out: string): Promise<void> {
  // First: where there is no Chromium, a server that waits would keep this program from ending.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const server = await context({})
  try {
    const { port } = await server.serve({ servedir: dist, host: '127.0.0.1', port: 0 })
    const tab = await browser.newPage({ viewport: { width: 1200, height: 1000 } })
    tab.setDefaultTimeout(0)
    await tab.goto(`http://127.0.0.1:${port}/playground.html`)
    await tab.waitForFunction(() => /Epoch [3-9]\d/.test(document.body.innerText))
    await tab.getByRole('button', { name: 'Pause' }).click()
    await tab.getByRole('button', { name: 'Train' }).waitFor()
    await tab.screenshot({ path: out })
  } finally {
    await browser.close()
    await server.dispose()
  }
}

await new Command('playground-picture')
  .description('Takes a picture of the playground after 30 epochs.')
  .option('--chromium <path>', 'a Chromium', process.env.CHROMIUM ?? '/usr/bin/chromium')
  .option('--out <file>', 'the picture', 'docs/playground.png')
  .action(({ chromium: path, out }: { chromium: string; out: string }) => takePicture(path, out))
  .parseAsync()
