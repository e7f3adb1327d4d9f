import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { clusterSpec } from '../../src/cluster/cluster-spec.js'
import { launch, tfConfig } from '../../src/cluster/launch.js'

/** A stream that keeps what is written. */
class Text extends Writable {
  text = ''
  onText: (text: string) => unknown = () => undefined
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString()
    this.onText(this.text)
    done()
  }
}

/** Launches workers that run a script; `index` is the rank of each. */
async function launched(
  workers: number,
  script: string,
  { signal, onText }: { readonly signal?: AbortSignal; readonly onText?: Text['onText'] } = {},
) {
  const [out, err] = [new Text(), new Text()]
  if (onText) out.onText = onText
  const code = `const { task: { index }, cluster: { worker } } = JSON.parse(process.env.TF_CONFIG); ${script}`
  const { code: exit } = await launch({
    workers,
    command: [process.execPath, '-e', code],
    out,
    err,
    ...(signal && { signal }),
  })
  return { exit, out: out.text.trim().split('\n').sort(), err: err.text.trim().split('\n') }
}

describe('launched workers', () => {
  test('get TF_CONFIG, and threads of their own; lines of the others have their number', async () => {
    const { exit, out } = await launched(
      3,
      `console.log(index, worker.length, new Set(worker).size, Number(process.env.TF_NUM_INTRAOP_THREADS) >= 1)`,
    )
    expect(exit).toBe(0)
    expect(out).toEqual(['0 3 3 true', '[worker 1] 1 3 3 true', '[worker 2] 2 3 3 true'])
  })

  test('end with the code of the first that fails; what several say is said once', async () => {
    const { exit, err } = await launched(
      3,
      `console.error('pmoe: same words'); if (index === 2) console.error('own words'); process.exitCode = index === 2 ? 7 : 0`,
    )
    expect(exit).toBe(7)
    expect(err).toEqual(['pmoe: same words', '[worker 2] own words'])
  })

  test('say which one a signal ended', async () => {
    const { exit, err } = await launched(2, `if (index === 1) process.kill(process.pid, 'SIGKILL')`)
    expect(exit).toBe(1)
    expect(err).toEqual(['pmoe: worker 1 was ended by SIGKILL'])
  })

  test('are all asked to stop, once', async () => {
    const stop = new AbortController()
    const { exit, out, err } = await launched(
      2,
      `let asked = 0
       process.on('SIGINT', () => { asked++; setTimeout(() => { console.log('asked', asked); process.exit(130) }, 200) })
       setInterval(() => {}, 1000)
       console.log('ready')`,
      { signal: stop.signal, onText: text => text.match(/ready/g)?.length === 2 && stop.abort() },
    )
    expect(exit).toBe(130)
    expect(out).toEqual(['[worker 1] asked 1', '[worker 1] ready', 'asked 1', 'ready'])
    expect(err).toEqual([''])
  })

  test('are told of each other as TensorFlow has it', () => {
    expect(clusterSpec({ TF_CONFIG: tfConfig(['a:1', 'b:1'], 1) })).toEqual({
      workers: ['a:1', 'b:1'],
      index: 1,
    })
  })
})
