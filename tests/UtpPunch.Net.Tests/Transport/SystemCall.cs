using System.Runtime.InteropServices;

namespace UtpPunch.Tests;

/// <summary>System calls that a test forbids a child process, by a filter of seccomp(2).</summary>
internal static partial class SystemCall
{
    private const int EPERM = 1;
    private const int PR_SET_NO_NEW_PRIVS = 38;
    private const int PR_SET_SECCOMP = 22;
    private const int SECCOMP_MODE_FILTER = 2;
    private const uint Allow = 0x7FFF_0000;
    private const uint Fail = 0x0005_0000;

    // linux/bpf_common.h: load a word at an offset of struct seccomp_data; jump if equal; return.
    private const ushort Load = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort Return = 0x06;

    /// <summary>The number of <c>recvmmsg</c>.</summary>
    public static int ReceiveMany => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 243 : 299;

    /// <summary>Forbids a call to the calling thread, and to the processes and threads that it starts from now on, for good.</summary>
    public static unsafe void ForbidToThisThread(int call)
    {
        var filter = stackalloc Instruction[]
        {
            new() { Code = Load },
            new() { Code = JumpIfEqual, IfTrue = 0, IfFalse = 1, Value = (uint)call },
            new() { Code = Return, Value = Fail | EPERM },
            new() { Code = Return, Value = Allow },
        };
        var program = new FilterProgram { Length = 4, Filter = filter };
        Check.Equal(0, Control(PR_SET_NO_NEW_PRIVS, 1, null));
        Check.Equal(0, Control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    }

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static unsafe partial int Control(int option, nuint value, FilterProgram* program, nuint unused4 = 0, nuint unused5 = 0);

    /// <summary><c>struct sock_filter</c>.</summary>
    private struct Instruction
    {
        public ushort Code;
        public byte IfTrue;
        public byte IfFalse;
        public uint Value;
    }

    /// <summary><c>struct sock_fprog</c>.</summary>
    private unsafe struct FilterProgram
    {
        public ushort Length;
        public Instruction* Filter;
    }
}
