using UtpPunch.NatLab;

using var verify = new Verify();
return verify.Run();
