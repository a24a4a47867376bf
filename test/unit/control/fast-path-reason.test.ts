/** What is said when the kernel refuses the fast path. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { reasonOfKernel } from '../../../src/control/fast-path/fast-path.ts';

const refusal = (code: string): Error => Object.assign(new Error(`bpf ${code}`), { code });

it('fast path: a kernel that can not is told from a lack of permission', () => {
  const cases: [string, string, RegExp][] = [
    ['EINVAL', '6.1.0-56-cloud-amd64', /this kernel can not/],
    ['ENOSYS', '6.12.0', /this kernel can not/],
    // 5.10 takes maps for locked memory, of which there is little: also root with all capabilities hears EPERM.
    ['EPERM', '5.10.0-46-cloud-amd64', /this kernel can not/],
    ['EPERM', '4.19.0', /this kernel can not/],
    ['EPERM', '5.11.0', /no permission/],
    ['EPERM', '6.12.118+deb13-cloud-amd64', /no permission/],
    ['ENOMEM', '6.12.0', /bpf ENOMEM/],
  ];
  for (const [code, release, reason] of cases)
    assert.match(reasonOfKernel(refusal(code), release), reason);
});
