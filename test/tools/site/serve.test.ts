import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { startProcess } from '../../child-processes.js'

test('a site that cannot be served ends with the reason', async () => {
  const other = createServer()
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = other.address() as AddressInfo
    const args = ['--import', 'tsx', 'tools/site.ts', 'serve', '--port', String(port)]
    const { code, err } = await startProcess(process.execPath, args).finished
    expect([code, err]).toEqual([1, expect.stringMatching(`^site: .*127\\.0\\.0\\.1:${port}: .*in use`)])
  } finally {
    other.close()
  }
})
