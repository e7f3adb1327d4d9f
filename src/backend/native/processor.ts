import { readFileSync } from 'node:fs'
import { arch, cpus } from 'node:os'

const VECTOR_FLAGS =
  /^(sse4_2|avx|avx2|fma|avx512f|avx512_vnni|avx512_bf16|avx_vnni|amx_bf16|amx_tile|asimd|sve|bf16)$/
const BFLOAT16_FLAGS = /^(avx512_bf16|amx_bf16|bf16)$/

/** The vector instructions of this processor, by the names of Linux; empty where there is no /proc/cpuinfo. */
export function vectorFlags(cpuInfo: string = readCpuInfo()): string[] {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? ''
  return line.split(/\s+/).filter(flag => VECTOR_FLAGS.test(flag))
}

/** Whether a processor with these flags multiplies bfloat16 in hardware. */
export function multipliesBfloat16(flags: readonly string[] = vectorFlags()): boolean {
  return flags.some(flag => BFLOAT16_FLAGS.test(flag))
}

/** Identifies the kind of processor, as kinds may compute differently: maker, model, stepping and all flags. */
export function processorIdentity(cpuInfo: string = readCpuInfo()): string {
  const lines = cpuInfo.split('\n\n')[0]?.split('\n') ?? []
  const identifying = lines.filter(line =>
    /^(vendor_id|cpu family|model|model name|stepping|microcode|flags|Features|CPU \w+)\s*:/.test(line),
  )
  return identifying.length > 0 ? identifying.join('\n') : `${arch()} ${cpus()[0]?.model ?? 'unknown'}`
}

function readCpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
